'use client';

import dynamic from 'next/dynamic';
import { pageOf } from '@/lib/document-id';
import { AgentPanel } from './agent-panel';
import { Avatars } from './avatars';
import { BlockPanel } from './block-panel';
import { ConnectionsPanel } from './connections-panel';
import { PageHeader } from './page-header';
import { PeoplePanel } from './people-panel';
import { Skeleton } from './skeleton';
import { OfflineNotice, StatusPill } from './status';
import { useSession } from './use-session';
import styles from './workspace.module.css';

interface Props {
  documentId: string;
  canBlock: boolean;
}

// Y.js is loaded by browsers alone: the server has a copy of its own, for `merge`, and two in one process do not get along.
const Editor = dynamic(() => import('./editor').then((module) => module.Editor), { ssr: false, loading: Skeleton });
const open = async (documentId: string) => new (await import('@/lib/session')).Session(documentId);

/** The page: the text of one document, who is in it, and what the server knows of it. */
export function Workspace({ documentId, canBlock }: Props) {
  const session = useSession(open, documentId);
  return (
    <div className={styles.page}>
      <PageHeader about={{ what: 'Document', id: documentId }} again={pageOf(documentId)}>
        {session && (
          <>
            <Avatars session={session} />
            <StatusPill session={session} />
          </>
        )}
      </PageHeader>

      {session && <OfflineNotice session={session} />}

      <div className={styles.columns}>
        <main className={styles.sheet}>{session ? <Editor session={session} /> : <Skeleton />}</main>
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
