'use client';

import { useEffect, useState } from 'react';
import type { Counts } from '@/lib/counts';
import { pageOf } from '@/lib/document-id';
import type { DocumentSession } from '@/lib/document-session';
import styles from './connections-panel.module.css';
import controls from './controls.module.css';
import { Panel } from './panel';
import { usePeers, useStatus } from './use-session';

const POLL_MS = 2_000;
const SHOWN = 6;

/** What the processes count, asked over HTTP, and how far away the hub is, measured over the WebSocket. */
export function ConnectionsPanel({ session }: { session: DocumentSession }) {
  const { roundTripMs, phase } = useStatus(session);
  const connections = useConnections(`${phase} ${usePeers(session).length}`);
  const processes = connections?.processes ?? [];
  const documents = Object.entries(connections?.documents ?? {}).sort((a, b) => b[1] - a[1]);
  return (
    <Panel title="Connections" extra={phase === 'open' && roundTripMs !== null ? formatRoundTrip(roundTripMs) : ''}>
      <dl className={styles.counts}>
        <div className={styles.total}>
          <dt>All documents</dt>
          <dd data-count="fabric">{connections?.fabric ?? '–'}</dd>
        </div>
        {processes.length > 1 &&
          processes.map(({ process, fabric }) => (
            <div key={process} className={styles.process}>
              <dt>Process {process}</dt>
              <dd data-process={process}>{fabric}</dd>
            </div>
          ))}
        {documents.slice(0, SHOWN).map(([id, count]) => (
          <div key={id} className={styles.row}>
            <dt>{id === session.documentId ? id : <a href={pageOf(id)}>{id}</a>}</dt>
            <dd data-count={id}>{count}</dd>
          </div>
        ))}
      </dl>
      {documents.length > SHOWN && <p className={controls.note}>and {documents.length - SHOWN} more documents</p>}
    </Panel>
  );
}

function formatRoundTrip(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms to the hub and back`;
}

/** The server's counts; asked again every two seconds while the page is looked at, and when `trigger` changes. */
function useConnections(trigger: string): Counts | null {
  const [connections, setConnections] = useState<Counts | null>(null);
  useEffect(() => {
    const cancel = new AbortController();
    let busy = false;
    const ask = async () => {
      if (busy || document.visibilityState === 'hidden') return;
      busy = true;
      const answer = await read('/api/fabric/connections', cancel.signal);
      if (!cancel.signal.aborted) setConnections(answer);
      busy = false;
    };
    void ask();
    const timer = setInterval(ask, POLL_MS);
    return () => {
      clearInterval(timer);
      cancel.abort();
    };
  }, [trigger]);
  return connections;
}

/** The counts, or null where the server does not answer. */
async function read(url: string, signal: AbortSignal): Promise<Counts | null> {
  try {
    const response = await fetch(url, { signal, cache: 'no-store' });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
