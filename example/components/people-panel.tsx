'use client';

import { LONGEST_NAME } from '@/lib/identity';
import type { DocumentSession, Peer } from '@/lib/document-session';
import { Avatar } from './avatars';
import { Panel } from './panel';
import styles from './people-panel.module.css';
import { usePeers } from './use-session';

/** Who has the document open. One's own name can be changed; the others see it at once. */
export function PeoplePanel({ session }: { session: DocumentSession }) {
  const peers = usePeers(session);
  return (
    <Panel title="Here now" extra={peers.length === 1 ? 'only you' : `${peers.length} people`}>
      <ul className={styles.people}>
        {peers.map((peer) => (
          <li key={peer.clientId} className={styles.person}>
            <Avatar peer={peer} />
            {peer.isSelf ? <OwnName session={session} self={peer} /> : <span className={styles.name}>{peer.name}</span>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function OwnName({ session, self }: { session: DocumentSession; self: Peer }) {
  const rename = (input: HTMLInputElement) => {
    const name = input.value.trim();
    if (name === '') input.value = self.name;
    else if (name !== self.name) session.setIdentity({ name, color: self.color });
  };
  return (
    <>
      <input
        key={self.name}
        className={styles.own}
        defaultValue={self.name}
        maxLength={LONGEST_NAME}
        aria-label="Your name"
        autoComplete="off"
        onBlur={(event) => rename(event.currentTarget)}
        onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.blur()}
      />
      <span className={styles.you}>you</span>
    </>
  );
}
