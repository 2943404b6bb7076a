'use client';

import type { Command, EditorState } from 'prosemirror-state';
import { type KeyboardEvent, type ReactNode, useRef, useState } from 'react';
import { type NoteAction, noteActions } from '@/lib/note-actions';
import type { NoteSession } from '@/lib/note-session';
import styles from './note-toolbar.module.css';
import { useNoteState, useSaving } from './use-note';

const STEP: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1 };

/** Buttons for what keys do, too. One of them is reached by Tab, the others from there by the arrows. */
export function NoteToolbar({ session }: { session: NoteSession }) {
  const state = useNoteState(session);
  const mayEdit = useSaving(session).version !== null && session.view?.editable === true;
  const bar = useRef<HTMLDivElement>(null);
  const [reached, setReached] = useState(0);

  const run = (command: Command) => {
    const { view } = session;
    if (!view) return;
    command(view.state, view.dispatch, view);
    view.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEP[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = [...(bar.current?.querySelectorAll('button') ?? [])];
    const next = (reached + step + buttons.length) % buttons.length;
    setReached(next);
    buttons[next]?.focus();
  };

  let index = -1;
  return (
    <div ref={bar} className={styles.bar} role="toolbar" aria-label="Format" onKeyDown={onKeyDown}>
      {noteActions.map((group, at) => (
        <div key={at} className={styles.group}>
          {group.map((action) => {
            index += 1;
            const own = index;
            return (
              <Button
                key={action.name}
                action={action}
                state={state}
                mayEdit={mayEdit}
                isReached={own === reached}
                onFocus={() => setReached(own)}
                onRun={() => run(action.command(state))}
              >
                {action.icon ? <Icon path={action.icon} /> : action.letters}
              </Button>
            );
          })}
        </div>
      ))}
    </div>
  );
}

interface ButtonProps {
  action: NoteAction;
  state: EditorState;
  mayEdit: boolean;
  isReached: boolean;
  onFocus(): void;
  onRun(): void;
  children: ReactNode;
}

function Button({ action, state, mayEdit, isReached, onFocus, onRun, children }: ButtonProps) {
  // Not `disabled`, which takes the focus away from whoever is on it.
  const isOff = !mayEdit || !action.command(state)(state);
  return (
    <button
      type="button"
      className={styles.button}
      data-look={action.name}
      title={action.keys ? `${action.name} (${action.keys})` : action.name}
      aria-label={action.name}
      aria-pressed={action.isOn?.(state)}
      aria-disabled={isOff}
      tabIndex={isReached ? 0 : -1}
      onFocus={onFocus}
      onMouseDown={(event) => event.preventDefault()} // the selection stays in the note
      onClick={() => isOff || onRun()}
    >
      {children}
    </button>
  );
}

function Icon({ path }: { path: string }) {
  return (
    <svg
      width="18"
      height="18"
      viewBox="0 0 18 18"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      aria-hidden="true"
    >
      <path d={path} strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
