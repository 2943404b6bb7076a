'use client';

import { useEffect, useRef } from 'react';
import type { NoteSession } from '@/lib/note-session';
import styles from './note-editor.module.css';
import { NoteToolbar } from './note-toolbar';
import { Skeleton } from './skeleton';
import { useSaving } from './use-note';

/** The note itself, and above it what can be done to it. */
export function NoteEditor({ session }: { session: NoteSession }) {
  const place = useRef<HTMLDivElement>(null);
  const isLoaded = useSaving(session).version !== null;
  useEffect(() => (place.current ? session.mount(place.current) : undefined), [session]);
  return (
    <div className={styles.note} aria-busy={!isLoaded}>
      <NoteToolbar session={session} />
      {!isLoaded && <Skeleton />}
      <div ref={place} className={styles.place} hidden={!isLoaded} />
    </div>
  );
}
