'use client';

import { defaultKeymap } from '@codemirror/commands';
import { EditorState } from '@codemirror/state';
import { Decoration, EditorView, keymap, placeholder } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next';
import type { Session } from '@/lib/session';
import styles from './editor.module.css';
import { remoteCursors } from './remote-cursors';
import { Skeleton } from './skeleton';
import { useStatus } from './use-session';

const title = Decoration.set(Decoration.line({ class: styles.title }).range(0));
const firstLineAsTitle = EditorView.decorations.compute(['doc'], (state) => {
  return state.doc.length > 0 ? title : Decoration.none;
});

/** The text, once it is there: before, an empty editor would say that there is none. */
export function Editor({ session }: { session: Session }) {
  return useStatus(session).loaded ? <Surface session={session} /> : <Skeleton />;
}

/** CodeMirror bound to the session's Y.Text. Undo takes back one's own changes only. */
function Surface({ session }: { session: Session }) {
  const parent = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const { text, provider } = session;
    const view = new EditorView({
      parent: parent.current ?? undefined,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          yCollab(text, null),
          remoteCursors(text, provider.awareness),
          keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
          EditorView.lineWrapping,
          firstLineAsTitle,
          EditorView.contentAttributes.of({ 'aria-label': 'Document text', spellcheck: 'true', autocapitalize: 'on' }),
          placeholder('Write something. Everyone who has this page open sees it as you type.'),
        ],
      }),
    });
    return () => view.destroy();
  }, [session]);

  return <div ref={parent} className={styles.surface} />;
}
