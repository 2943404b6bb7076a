'use client';

import dynamic from 'next/dynamic';
import { pageOf } from '@/lib/document-id';
import { Avatars } from './avatars';
import { ConnectionsPanel } from './connections-panel';
import { NoteAgentPanel } from './note-agent-panel';
import { NoteNotices, SavedPill } from './note-status';
import { PageHeader } from './page-header';
import { PeoplePanel } from './people-panel';
import { Skeleton } from './skeleton';
import { useSession } from './use-session';
import styles from './workspace.module.css';

const NoteEditor = dynamic(() => import('./note-editor').then((module) => module.NoteEditor), {
  ssr: false,
  loading: Skeleton,
});
const open = async (documentId: string) => new (await import('@/lib/note-session')).NoteSession(documentId);

/** The page of a note: its editor, whether it is saved, who is in it, and an agent that writes along. */
export function NoteWorkspace({ documentId }: { documentId: string }) {
  const session = useSession(open, documentId);
  return (
    <div className={styles.page}>
      <PageHeader about={{ what: 'Document', id: documentId }} again={pageOf(documentId)}>
        {session && (
          <>
            <Avatars session={session} />
            <SavedPill session={session} />
          </>
        )}
      </PageHeader>

      {session && <NoteNotices session={session} />}

      <div className={styles.columns}>
        <main className={styles.sheet}>{session ? <NoteEditor session={session} /> : <Skeleton />}</main>
        {session && (
          <aside className={styles.side} aria-label="About this note">
            <PeoplePanel session={session} />
            <NoteAgentPanel session={session} />
            <ConnectionsPanel session={session} />
          </aside>
        )}
      </div>
    </div>
  );
}
