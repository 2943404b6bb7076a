// The documents that stay: where the hub keeps what was just written, and how it loads and saves the rest.
import path from 'node:path';
import { merge } from '@captify-io/hub/yjs';
import { Node } from 'prosemirror-model';
import { Step } from 'prosemirror-transform';
import { read, write } from './lib/files.mjs';
import { isNote, kindOf } from './lib/kinds.mjs';
import { schema } from './lib/note-schema.mjs';
import { welcome } from './lib/welcome.mjs';

// Outside of what a deployment replaces. On a server this is a disk that stays, such as a volume.
const folder = process.env.HUB_EXAMPLE_DATA ?? path.join(import.meta.dirname, '.data');
const saved = path.join(folder, 'saved');

/** @type {import('@captify-io/hub/server').DocumentOptions} */
export const documents = {
  kind: kindOf,
  store: path.join(folder, 'documents.redb'),

  // `null` says that there is none yet, and nothing else does: what cannot be read is thrown, and lets nobody in.
  async load({ documentId }) {
    return (await read(saved, documentId)) ?? welcome(documentId);
  },

  async save({ documentId, doc, version, previousVersion, state }) {
    if (!isNote(documentId)) return write(saved, documentId, { state });
    // With a database this is one conditional update, as in docs/documents.md. The hub saves a document once at a time, and
    // nobody else writes to this folder.
    const before = await read(saved, documentId);
    if (before && ![previousVersion, version].includes(before.version)) {
      throw new Error(
        `${documentId} was saved at version ${before.version} by somebody else, not at ${previousVersion}`,
      );
    }
    await write(saved, documentId, { doc, version });
  },

  // A note after steps: the app's own schema says whether they fit.
  apply(doc, steps) {
    let note = doc ? Node.fromJSON(schema, doc) : schema.topNodeType.createAndFill();
    for (const json of steps) {
      const { doc: next, failed } = Step.fromJSON(schema, json).apply(note);
      if (!next) throw new Error(failed ?? 'a step does not fit');
      note = next;
    }
    return note.toJSON();
  },

  // A text after updates of Y.js.
  merge,
};
