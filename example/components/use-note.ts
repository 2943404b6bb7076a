'use client';

import type { FabricCollabStatus } from '@captify-io/hub/prosemirror';
import type { EditorState } from 'prosemirror-state';
import { useSyncExternalStore } from 'react';
import type { NoteNews, NoteSession } from '@/lib/note-session';

export function useNoteState(session: NoteSession): EditorState {
  return useSyncExternalStore(session.onChange, session.getState, session.getState);
}

export function useSaving(session: NoteSession): FabricCollabStatus {
  return useSyncExternalStore(session.onChange, session.getSaving, session.getSaving);
}

export function useNews(session: NoteSession): NoteNews | null {
  return useSyncExternalStore(session.onChange, session.getNews, session.getNews);
}
