'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ProviderStatus } from '@/lib/fabric-provider';
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

export function useStatus(session: Session): ProviderStatus {
  const { onStatus, getStatus } = session.provider;
  return useSyncExternalStore(onStatus, getStatus, getStatus);
}

export function usePeers(session: Session): readonly Peer[] {
  return useSyncExternalStore(session.onPeers, session.getPeers, session.getPeers);
}
