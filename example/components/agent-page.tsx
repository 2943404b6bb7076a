'use client';

import { useEffect, useState } from 'react';
import { newThread, threadOf } from '@/lib/conversation';
import styles from './agent-page.module.css';
import { Conversation } from './conversation';
import { PageHeader } from './page-header';

/** A thread with an agent: who is asked what, and what it answers, in every window that is in the thread. */
export function AgentPage({ asked }: { asked: string | undefined }) {
  const [threadId, setThreadId] = useState<string | null>(null);
  useEffect(() => setThreadId(threadOf(asked)), [asked]);

  const startAnew = () => {
    const fresh = newThread();
    if (asked !== undefined) window.history.replaceState(null, '', '/agent');
    setThreadId(fresh);
  };

  return (
    <div className={styles.page}>
      <PageHeader
        about={threadId === null ? undefined : { what: 'Thread', id: threadId }}
        again={threadId === null ? undefined : `/agent?thread=${encodeURIComponent(threadId)}`}
      >
        <button type="button" className={styles.anew} onClick={startAnew}>
          New thread
        </button>
      </PageHeader>
      {threadId !== null && <Conversation key={threadId} threadId={threadId} />}
    </div>
  );
}
