'use client';

import { useEffect, useRef, useState } from 'react';
import type { AgentReport } from '@/lib/note-agent';
import type { NoteSession } from '@/lib/note-session';
import styles from './note-agent-panel.module.css';
import controls from './controls.module.css';
import { Panel } from './panel';

type Task = 'summarise' | 'tidy';

const ABOUT = 'It edits on the server, through editDocument, and you can go on writing meanwhile.';
const AT_WORK: Record<Task, string> = {
  summarise: 'Writing at the end of the note…',
  tidy: 'Reading the note…',
};

/** Has an agent on the server edit the note, and says what came of it. */
export function NoteAgentPanel({ session: { documentId } }: { session: NoteSession }) {
  const [task, setTask] = useState<Task | null>(null);
  const [outcome, setOutcome] = useState(ABOUT);
  const order = useRef<AbortController | null>(null);
  useEffect(() => () => order.current?.abort(), []);

  const begin = async (asked: Task) => {
    if (order.current) return;
    const cancel = (order.current = new AbortController());
    setTask(asked);
    setOutcome(AT_WORK[asked]);
    const answer = await ask({ documentId, task: asked }, cancel.signal);
    order.current = null;
    setTask(null);
    setOutcome(answer);
  };

  return (
    <Panel title="Agent">
      <div className={styles.tasks}>
        {task === 'summarise' ? (
          <button type="button" className={controls.quiet} onClick={() => order.current?.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" className={controls.button} disabled={task !== null} onClick={() => begin('summarise')}>
            Summarise
          </button>
        )}
        <button type="button" className={controls.quiet} disabled={task !== null} onClick={() => begin('tidy')}>
          Tidy up
        </button>
      </div>
      <p className={controls.note} role="status">
        {outcome}
      </p>
    </Panel>
  );
}

/** Asks the agent, and says in a sentence what it did. */
async function ask(body: { documentId: string; task: Task }, signal: AbortSignal): Promise<string> {
  try {
    const response = await fetch('/api/notes/agent', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    const answer = await response.json();
    if (!response.ok) return `${answer.error} (${answer.code}).`;
    return inWords(body.task, answer);
  } catch {
    return signal.aborted ? 'Stopped. What it wrote stays.' : 'The server could not be reached.';
  }
}

function inWords(task: Task, { end, count, edits, again }: AgentReport): string {
  if (end === 'nothing') return task === 'tidy' ? 'All is tidy.' : 'There is nothing to sum up yet.';
  const done = task === 'tidy' ? `Put ${counted(count, 'place')} right` : `Wrote ${counted(count, 'word')}`;
  const quicker = again === 0 ? '' : `, ${again} of them once more because somebody was quicker`;
  const removed = end === 'removed' ? ' Then somebody took the passage out.' : '';
  return `${done} in ${counted(edits, 'edit')}${quicker}.${removed}`;
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
