'use client';

import { colorOf } from '@/lib/identity';
import type { DocumentSession, Peer } from '@/lib/document-session';
import styles from './avatars.module.css';
import { usePeers } from './use-session';

const SHOWN = 5;

/** The people in the document as overlapping circles. */
export function Avatars({ session }: { session: DocumentSession }) {
  const peers = usePeers(session);
  const more = peers.length - SHOWN;
  return (
    <div className={styles.stack} role="img" aria-label={`Here now: ${peers.map((peer) => peer.name).join(', ')}`}>
      {peers.slice(0, SHOWN).map((peer) => (
        <Avatar key={peer.clientId} peer={peer} />
      ))}
      {more > 0 && <span className={styles.more}>+{more}</span>}
    </div>
  );
}

export function Avatar({ peer }: { peer: Peer }) {
  return (
    <span className={styles.avatar} style={{ background: colorOf(peer.color) }} title={peer.name} aria-hidden="true">
      {initials(peer.name)}
    </span>
  );
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...(word ?? '')][0]?.toLocaleUpperCase() ?? '').join('');
}
