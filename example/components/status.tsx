'use client';

import { type ReactNode, useEffect, useState } from 'react';
import type { ConnectionState } from '@/lib/connection-status';
import type { Session } from '@/lib/session';
import controls from './controls.module.css';
import styles from './status.module.css';
import { useStatus } from './use-session';

/** A restarted server is back sooner than this, and needs no words. */
const NOTICE_AFTER_MS = 1_200;
/** How it ended is shown for so long. */
const RETURN_SHOWN_MS = 4_000;

/** The state of the connection in one or two words. */
export function StatusPill({ session }: { session: Session }) {
  const status = useStatus(session);
  const isLive = status.phase === 'open' && status.synced;
  const isOldNews = useLasting(isLive, RETURN_SHOWN_MS);
  const { tone, text } = describe(status, !isOldNews);
  return (
    <span
      className={styles.pill}
      data-tone={tone}
      data-phase={status.phase}
      data-synced={status.synced}
      data-beginning={status.beginning}
    >
      <span className={styles.dot} aria-hidden="true" />
      <span role="status">{text}</span>
    </span>
  );
}

/** What is said of a live connection while it is news. */
const NEWS = { connected: 'Live', recovered: 'Back, nothing missed', reload: 'Back, caught up' };

function describe(status: ConnectionState, isNews: boolean): { tone: 'good' | 'busy' | 'warn' | 'bad'; text: string } {
  const { phase, synced, beginning } = status;
  if (phase === 'open' && !synced) return { tone: 'busy', text: 'Catching up' };
  if (phase === 'open') return { tone: 'good', text: isNews && beginning ? NEWS[beginning] : 'Live' };
  if (phase === 'refused') return { tone: 'bad', text: 'Refused' };
  if (isDown(status)) return { tone: 'warn', text: 'Offline' };
  return { tone: 'busy', text: 'Connecting' };
}

/** True from the loss of a connection until it is back, tries in between included. */
function isDown({ phase, reason }: ConnectionState): boolean {
  return phase === 'waiting' || (phase === 'connecting' && reason !== '');
}

/** Says what happens to one's typing while the connection is down, and when it is tried again. */
export function OfflineNotice({ session }: { session: Session }) {
  const status = useStatus(session);
  const isLongDown = useLasting(isDown(status), NOTICE_AFTER_MS);
  const seconds = useSecondsUntil(status.retryAt);
  if (status.phase === 'refused') {
    return <Notice tone="bad">The server refused this window: {status.reason}. Reload the page to try again.</Notice>;
  }
  if (status.phase === 'open' && status.reason !== '') {
    return <Notice tone="bad">{status.reason}. The other windows do not have it.</Notice>;
  }
  if (!isLongDown) return null;
  return (
    <Notice tone="warn">
      <span className={styles.text}>
        You can go on writing: it is kept here and sent when the connection is back.{' '}
        <span className={styles.when}>{status.retryAt === null ? 'Trying…' : `Next try in ${seconds} s.`}</span>
      </span>
      <button type="button" className={controls.quiet} onClick={() => session.provider.connect()}>
        Try now
      </button>
    </Notice>
  );
}

function Notice({ tone, children }: { tone: 'warn' | 'bad'; children: ReactNode }) {
  return (
    <div className={styles.notice} data-tone={tone}>
      {children}
    </div>
  );
}

/** True once `condition` has been true for `ms`. */
function useLasting(condition: boolean, ms: number): boolean {
  const [lasts, setLasts] = useState(false);
  useEffect(() => {
    if (!condition) return;
    const timer = setTimeout(() => setLasts(true), ms);
    return () => {
      clearTimeout(timer);
      setLasts(false);
    };
  }, [condition, ms]);
  return condition && lasts;
}

/** Whole seconds until a `Date.now()`, counted down; 0 where there is nothing to wait for. */
function useSecondsUntil(time: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (time === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [time]);
  return time === null ? 0 : Math.max(0, Math.ceil((time - now) / 1000));
}
