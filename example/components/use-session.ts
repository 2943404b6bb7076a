'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ConnectionState } from '@/lib/connection-status';
import type { DocumentSession, Peer } from '@/lib/document-session';

/**
 * The window's session on a document; null while the page has not come alive in the browser. Where it cannot be opened the
 * page's error is shown.
 *
 * @param open the same function at every call
 */
export function useSession<Session extends DocumentSession>(
  open: (documentId: string) => Promise<Session>,
  documentId: string,
): Session | null {
  const [session, setSession] = useState<Session | null>(null);
  useEffect(() => {
    let isGone = false;
    let opened: Session | undefined;
    const begin = async () => {
      opened = await open(documentId);
      if (isGone) opened.destroy();
      else setSession(opened);
    };
    begin().catch((error: unknown) => {
      setSession(() => {
        throw error;
      });
    });
    return () => {
      isGone = true;
      opened?.destroy();
    };
  }, [open, documentId]);
  return session;
}

export function useStatus(session: DocumentSession): ConnectionState {
  const { onChange, get } = session.status;
  return useSyncExternalStore(onChange, get, get);
}

export function usePeers(session: DocumentSession): readonly Peer[] {
  return useSyncExternalStore(session.onPeers, session.getPeers, session.getPeers);
}
