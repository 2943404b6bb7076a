// Which document is of which kind: read by the server, by route handlers and by the pages.

export const NOTE_PREFIX = 'note-';

/**
 * Notes are ProseMirror documents, whose steps the hub puts into one order. Everything else is a text of Y.js.
 *
 * @param {string} documentId
 */
export const isNote = (documentId) => documentId.startsWith(NOTE_PREFIX);

/** @param {string} documentId */
export const kindOf = (documentId) => (isNote(documentId) ? 'steps' : 'updates');
