'use client';

import { type ReactNode, useEffect, useState } from 'react';
import type { ConnectionState } from '@/lib/connection-status';
import type { DocumentSession } from '@/lib/document-session';
import controls from './controls.module.css';
import styles from './status.module.css';
import { useStatus } from './use-session';

/** A restarted server is back sooner than this, and needs no words. */
export const NOTICE_AFTER_MS = 1_200;
/** How it ended is shown for so long. */
const RETURN_SHOWN_MS = 4_000;

/** The state of the connection in one or two words. */
export function StatusPill({ session }: { session: DocumentSession }) {
  const status = useStatus(session);
  const isLive = status.phase === 'open' && status.synced;
  const isOldNews = useLasting(isLive, RETURN_SHOWN_MS);
  const { tone, text } = describe(status, !isOldNews);
  return (
    <Pill tone={tone} data-phase={status.phase} data-synced={status.synced} data-beginning={status.beginning}>
      {text}
    </Pill>
  );
}

export type Tone = 'good' | 'busy' | 'warn' | 'bad';

/** A word or two with a dot, for how things stand. */
export function Pill({ tone, children, ...data }: { tone: Tone; children: string }) {
  return (
    <span className={styles.pill} data-tone={tone} {...data}>
      <span className={styles.dot} aria-hidden="true" />
      <span role="status">{children}</span>
    </span>
  );
}

/** What is said of a live connection while it is news. */
const NEWS = { connected: 'Live', recovered: 'Back, nothing missed', reload: 'Back, caught up' };

function describe(status: ConnectionState, isNews: boolean): { tone: Tone; text: string } {
  const { phase, synced, beginning } = status;
  if (phase === 'open' && !synced) return { tone: 'busy', text: 'Catching up' };
  if (phase === 'open') return { tone: 'good', text: isNews && beginning ? NEWS[beginning] : 'Live' };
  if (phase === 'refused') return { tone: 'bad', text: 'Refused' };
  if (isDown(status)) return { tone: 'warn', text: 'Offline' };
  return { tone: 'busy', text: 'Connecting' };
}

/** True from the loss of a connection until it is back, tries in between included. */
export function isDown({ phase, reason }: ConnectionState): boolean {
  return phase === 'waiting' || (phase === 'connecting' && reason !== '');
}

function whileDown({ loaded, reason }: ConnectionState): string {
  if (!loaded) return `The document could not be opened yet: ${reason || 'the server does not answer'}.`;
  return 'You can go on writing: it is kept here and sent when the connection is back.';
}

/** Says what is wrong with the connection, and what to do. */
export function OfflineNotice({ session }: { session: DocumentSession }) {
  const status = useStatus(session);
  const isLongDown = useLasting(isDown(status), NOTICE_AFTER_MS);
  if (status.phase === 'refused') {
    return <Notice tone="bad">The server refused this window: {status.reason}. Reload the page to try again.</Notice>;
  }
  if (status.phase === 'open' && status.reason !== '') {
    return <Notice tone="bad">{status.reason}. The other windows do not have it.</Notice>;
  }
  return isLongDown ? <DownNotice session={session} /> : null;
}

/** When the connection is tried again, and what happens to one's typing until then. */
export function DownNotice({ session }: { session: DocumentSession }) {
  const status = useStatus(session);
  const seconds = useSecondsUntil(status.retryAt);
  return (
    <div className={styles.notice} data-tone="warn">
      <span className={styles.text}>
        {whileDown(status)}{' '}
        <span className={styles.when}>{status.retryAt === null ? 'Trying…' : `Next try in ${seconds} s.`}</span>
      </span>
      <button type="button" className={controls.quiet} onClick={() => session.client.connect()}>
        Try now
      </button>
    </div>
  );
}

/** A sentence over the document. */
export function Notice({ tone, children }: { tone: 'warn' | 'bad'; children: ReactNode }) {
  return (
    <div className={styles.notice} data-tone={tone}>
      {children}
    </div>
  );
}

/** True once `condition` has been true for `ms`, and `of` the same. */
export function useLasting(condition: boolean, ms: number, of?: unknown): boolean {
  const [lasts, setLasts] = useState(false);
  useEffect(() => {
    if (!condition) return;
    const timer = setTimeout(() => setLasts(true), ms);
    return () => {
      clearTimeout(timer);
      setLasts(false);
    };
  }, [condition, ms, of]);
  return condition && lasts;
}

/** Whole seconds until a `Date.now()`, counted down; 0 where there is nothing to wait for. */
export function useSecondsUntil(time: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (time === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - now) / 1000));
}
