'use client';

import Link from 'next/link';
import { useEffect, useState } from 'react';
import { newThread, threadOf } from '@/lib/conversation';
import styles from './agent-page.module.css';
import { Conversation } from './conversation';
import { Mark } from './mark';
import workspace from './workspace.module.css';

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
      <header className={workspace.header}>
        <h1 className={workspace.brand}>
          <Mark />
          Captify Hub
        </h1>
        {threadId !== null && (
          <span className={workspace.document} title={`Thread ${threadId}`}>
            {threadId}
          </span>
        )}
        <div className={workspace.state}>
          <Link className={workspace.elsewhere} href="/">
            Document
          </Link>
          <button type="button" className={styles.anew} onClick={startAnew}>
            New thread
          </button>
          <a
            className={workspace.open}
            href={threadId === null ? undefined : `/agent?thread=${encodeURIComponent(threadId)}`}
            target="_blank"
            rel="noreferrer"
          >
            Open another window
          </a>
        </div>
      </header>
      {threadId !== null && <Conversation key={threadId} threadId={threadId} />}
    </div>
  );
}
