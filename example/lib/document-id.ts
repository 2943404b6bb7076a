import { NOTE_PREFIX, isNote } from './kinds.mjs';

type Parameter = string | string[] | undefined;

export const DEFAULT_TEXT_ID = 'welcome';
const DEFAULT_NOTE_ID = `${NOTE_PREFIX}welcome`;

/** The text that a page shows: `?document=`, or the default where it is missing or no id the hub takes. */
export function textIdFrom(parameter: Parameter): string {
  return idFrom(parameter) ?? DEFAULT_TEXT_ID;
}

/** The same of a note, whose prefix may be left out. */
export function noteIdFrom(parameter: Parameter): string {
  const id = idFrom(parameter);
  if (id === null) return DEFAULT_NOTE_ID;
  if (isNote(id)) return id;
  return idFrom(NOTE_PREFIX + id) ?? DEFAULT_NOTE_ID;
}

/** Where a document is shown. */
export function pageOf(documentId: string): string {
  return `${isNote(documentId) ? '/note' : '/'}?document=${encodeURIComponent(documentId)}`;
}

function idFrom(parameter: Parameter): string | null {
  const id = Array.isArray(parameter) ? parameter[0] : parameter;
  return id !== undefined && isDocumentId(id) ? id : null;
}

/** The hub refuses ids that are empty, longer than 512 bytes or that hold control characters. */
export function isDocumentId(id: string): boolean {
  return id !== '' && !/\p{Cc}/u.test(id) && new TextEncoder().encode(id).length <= 512;
}
