'use client';

import { type FormEvent, useEffect, useState } from 'react';
import type { DocumentSession } from '@/lib/document-session';
import styles from './agent-panel.module.css';
import controls from './controls.module.css';
import { Panel } from './panel';
import { usePeers } from './use-session';

interface Arrival {
  changeId: string;
  text: string;
  time: string;
}

const KEPT = 4;
const TOAST_MS = 5_000;

/** Sends a step through a route handler, as an agent on the server would, and shows what arrives. */
export function AgentPanel({ session }: { session: DocumentSession }) {
  const peers = usePeers(session);
  const { arrivals, toast } = useArrivals(session);
  const [outcome, setOutcome] = useState('');

  const send = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const clientID = String(form.get('clientID'));
    setOutcome('Sending…');
    setOutcome(
      await broadcast({
        documentId: session.documentId,
        steps: [{ stepType: 'note', text: String(form.get('text')) }],
        changeId: `change-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`,
        clientID: clientID === '' ? undefined : clientID,
      }),
    );
  };

  return (
    <Panel title="Agent step">
      <form className={styles.form} onSubmit={send}>
        <label>
          <span className={controls.label}>What the agent says</span>
          <input className={controls.field} name="text" defaultValue="The opening could be shorter" required />
        </label>
        <div className={styles.row}>
          <select className={controls.field} name="clientID" aria-label="Who gets it" defaultValue="">
            <option value="">Everyone</option>
            {peers.map((peer) => (
              <option key={peer.clientId} value={peer.clientId}>
                {peer.isSelf ? `${peer.name} (you)` : peer.name}
              </option>
            ))}
          </select>
          <button type="submit" className={controls.button}>
            Send
          </button>
        </div>
      </form>
      <p className={styles.outcome} role="status">
        {outcome || 'A route handler hands it to the hub, the hub to every window.'}
      </p>

      {arrivals.length > 0 && (
        <ol className={styles.log} aria-label="Steps that arrived">
          {arrivals.map((arrival) => (
            <li key={arrival.changeId} className={styles.arrival}>
              <span className={styles.what}>{arrival.text}</span>
              <time className={styles.time}>{arrival.time}</time>
            </li>
          ))}
        </ol>
      )}
      <div className={styles.toasts} role="status">
        {toast && (
          <p key={toast.changeId} className={styles.toast}>
            <strong>Agent</strong> {toast.text}
          </p>
        )}
      </div>
    </Panel>
  );
}

/** The newest steps that came through the WebSocket, and for a few seconds the very newest. */
function useArrivals(session: DocumentSession): { arrivals: Arrival[]; toast: Arrival | null } {
  const [arrivals, setArrivals] = useState<Arrival[]>([]);
  const [toast, setToast] = useState<Arrival | null>(null);

  useEffect(() => {
    return session.client.on('message', (message) => {
      if (message.type !== 'steps' || !('changeId' in message)) return;
      const { changeId, steps } = message;
      const arrival = { changeId, text: steps.map(describe).join(' '), time: new Date().toLocaleTimeString() };
      setArrivals((before) => [arrival, ...before.filter((each) => each.changeId !== changeId)].slice(0, KEPT));
      setToast(arrival);
    });
  }, [session]);

  useEffect(() => {
    if (toast === null) return;
    const timer = setTimeout(() => setToast(null), TOAST_MS);
    return () => clearTimeout(timer);
  }, [toast]);

  return { arrivals, toast };
}

function describe(step: unknown): string {
  if (typeof step === 'object' && step !== null && 'text' in step) return String(step.text);
  return JSON.stringify(step) ?? '';
}

/** Asks the server to send steps, and says in a sentence what came of it. */
async function broadcast(body: object): Promise<string> {
  try {
    const response = await fetch('/api/fabric/broadcast', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) return `${answer.error} (${answer.code})`;
    return `Delivered to ${answer.delivered} ${answer.delivered === 1 ? 'window' : 'windows'}.`;
  } catch {
    return 'The server could not be reached.';
  }
}
