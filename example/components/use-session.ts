'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ConnectionState } from '@/lib/connection-status';
import { type Peer, Session } from '@/lib/session';

/** The window's session on a document; null while the page has not come alive in the browser. */
export function useSession(documentId: string): Session | null {
  const [session, setSession] = useState<Session | null>(null);
  useEffect(() => {
    const opened = new Session(documentId);
    setSession(opened);
    return () => opened.destroy();
  }, [documentId]);
  return session;
}

export function useStatus(session: Session): ConnectionState {
  const { onChange, get } = session.status;
  return useSyncExternalStore(onChange, get, get);
}

export function usePeers(session: Session): readonly Peer[] {
  return useSyncExternalStore(session.onPeers, session.getPeers, session.getPeers);
}
