// Documents of kind `steps` whose steps are simple enough to be read: each inserts a word at the end of a list of words.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** A step that adds a word. */
export function word(text) {
  return { stepType: 'word', text };
}

/** The document without and with words. */
export const EMPTY = { words: [] };

/** An app's `apply`. */
export function apply(doc, steps) {
  const words = steps.map(({ text }) => {
    if (text === 'bad') throw new Error('a bad word');
    return text;
  });
  return { words: [...(doc ?? EMPTY).words, ...words] };
}

/** An app that keeps documents in memory; `calls` are what its hooks were called with. */
export class App {
  documents = new Map();
  calls = { load: [], save: [] };

  load = async (about) => {
    this.calls.load.push(about);
    return this.documents.get(about.documentId) ?? null;
  };

  save = async (about) => {
    this.calls.save.push(about);
    const { documentId, doc, version } = about;
    this.documents.set(documentId, { doc, version });
  };

  saves(documentId) {
    return this.calls.save.filter((about) => about.documentId === documentId);
  }
}

/** A path for a store, in a folder of its own that is removed after the test. */
export async function storePath(context) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-store-'));
  context.after(() => fs.rm(folder, { recursive: true, force: true }));
  return path.join(folder, 'documents.redb');
}
