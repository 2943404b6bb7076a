'use client';

import type { FabricCollabState } from '@captify-io/hub/prosemirror';
import type { NoteSession } from '@/lib/note-session';
import controls from './controls.module.css';
import { DownNotice, NOTICE_AFTER_MS, Notice, Pill, type Tone, isDown, useLasting } from './status';
import { useNews, useSaving } from './use-note';
import { useStatus } from './use-session';

const WORDS: Record<FabricCollabState, { tone: Tone; text: string }> = {
  connecting: { tone: 'busy', text: 'Loading' },
  saving: { tone: 'busy', text: 'Saving' },
  stored: { tone: 'busy', text: 'Saving' },
  saved: { tone: 'good', text: 'Saved' },
  offline: { tone: 'warn', text: 'Offline' },
  readOnly: { tone: 'busy', text: 'Read only' },
  failed: { tone: 'bad', text: 'Failed' },
  closed: { tone: 'bad', text: 'Closed' },
};

/** The app saves after two seconds of quiet; what takes so much longer does not work. */
const SAVE_IS_LATE_MS = 15_000;

/** Whether what one has written is where it should be, in a word. */
export function SavedPill({ session }: { session: NoteSession }) {
  const { state, version, unconfirmed } = useSaving(session);
  const { tone, text } = WORDS[state];
  return (
    <Pill tone={tone} data-saving={state} data-version={version ?? ''} data-unconfirmed={unconfirmed}>
      {text}
    </Pill>
  );
}

/** What one has to know, and may do, where something is not as it should be. */
export function NoteNotices({ session }: { session: NoteSession }) {
  const news = useNews(session);
  return (
    <>
      <ConnectionNotice session={session} />
      {news && (
        <Notice tone={news.isLost ? 'bad' : 'warn'}>
          <span role="alert">{news.text}</span>
          <button type="button" className={controls.quiet} onClick={() => session.dismissNews()}>
            Understood
          </button>
        </Notice>
      )}
    </>
  );
}

function ConnectionNotice({ session }: { session: NoteSession }) {
  const { state, version, reason } = useSaving(session);
  const status = useStatus(session);
  const isLongDown = useLasting(isDown(status), NOTICE_AFTER_MS);
  const isLate = useLasting(state === 'stored', SAVE_IS_LATE_MS, version);

  if (state === 'closed') {
    return (
      <Notice tone="bad">
        The server has closed this window: {reason || status.reason}. Reload the page to try again.
      </Notice>
    );
  }
  if (state === 'failed') {
    return <Notice tone="bad">The note cannot be edited: {reason}. Reload the page to try again.</Notice>;
  }
  if (state === 'readOnly') return <Notice tone="warn">You may read this note, and not change it.</Notice>;
  if (isLongDown) return <DownNotice session={session} />;
  if (isLate) {
    return (
      <Notice tone="warn">The server has stored what was written, but could not save it yet. It goes on trying.</Notice>
    );
  }
  return null;
}
