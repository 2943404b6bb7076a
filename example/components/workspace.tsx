'use client';

import Link from 'next/link';
import { AgentPanel } from './agent-panel';
import { Avatars } from './avatars';
import { BlockPanel } from './block-panel';
import { ConnectionsPanel } from './connections-panel';
import { Editor } from './editor';
import { Mark } from './mark';
import { PeoplePanel } from './people-panel';
import { OfflineNotice, StatusPill } from './status';
import { useSession } from './use-session';
import styles from './workspace.module.css';

interface Props {
  documentId: string;
  canBlock: boolean;
}

/** The page: the text of one document, who is in it, and what the server knows of it. */
export function Workspace({ documentId, canBlock }: Props) {
  const session = useSession(documentId);
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <h1 className={styles.brand}>
          <Mark />
          Captify Hub
        </h1>
        <span className={styles.document} title={`Document ${documentId}`}>
          {documentId}
        </span>
        <div className={styles.state}>
          <div className={styles.avatars}>{session && <Avatars session={session} />}</div>
          {session ? <StatusPill session={session} /> : null}
          <Link className={styles.elsewhere} href="/agent">
            Agent
          </Link>
          <a
            className={styles.open}
            href={`/?document=${encodeURIComponent(documentId)}`}
            target="_blank"
            rel="noreferrer"
          >
            Open another window
          </a>
        </div>
      </header>

      {session && <OfflineNotice session={session} />}

      <div className={styles.columns}>
        <main className={styles.sheet}>{session ? <Editor session={session} /> : null}</main>
        {session && (
          <aside className={styles.side} aria-label="About this document">
            <PeoplePanel session={session} />
            <AgentPanel session={session} />
            <ConnectionsPanel session={session} />
            {canBlock && <BlockPanel />}
          </aside>
        )}
      </div>
    </div>
  );
}
