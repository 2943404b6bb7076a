// A hub whose documents are of kind `updates`, as an app has it that keeps its documents in memory; the store is on disk.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as Y from 'yjs';
import { getDocument } from '../../js/index.js';
import { merge } from '../../js/yjs.mjs';
import { fromBase64 } from '../../js/yjs/base64.mjs';
import { later } from './client-stage.mjs';
import { HubServer, uniqueId } from './hub-server.mjs';

export class UpdatesApp {
  /** The one document that tests open. */
  documentId = uniqueId();
  /** What the app has saved, by document. */
  states = new Map();
  /** Whether its database can be written to. */
  isAway = false;

  /**
   * @param {object} [options] `merges`: whether the app can merge, else clients are asked; the rest is the hub's
   */
  static async start({ merges = true, ...options } = {}) {
    const app = new UpdatesApp();
    app.folder = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-updates-'));
    app.options = {
      limits: false,
      ...options,
      documents: {
        kind: 'updates',
        store: path.join(app.folder, 'documents.redb'),
        saveAfterMs: 20,
        saveWithinMs: 200,
        load: ({ documentId }) => (app.states.has(documentId) ? { state: app.states.get(documentId) } : null),
        ...(merges && { merge, save: (about) => app.#save(about) }),
      },
    };
    app.server = await HubServer.start(app.options);
    later(async () => {
      app.isAway = false;
      await app.server.close();
      await fs.rm(app.folder, { recursive: true, force: true });
    });
    return app;
  }

  get base() {
    return this.server.base;
  }

  get port() {
    return this.server.port;
  }

  /** Another hub on the same store, which knows nobody who was there. Answers its port. */
  async restart() {
    await this.server.close();
    this.server = await HubServer.start(this.options);
    return this.port;
  }

  /** How many updates the hub has taken since it has had the document. */
  async offset() {
    return (await getDocument(this.documentId)).offset;
  }

  /** The document as somebody has it who has only what the hub has stored. */
  async stored() {
    const { state, updates = [] } = await getDocument(this.documentId);
    const doc = new Y.Doc();
    for (const each of [...(state === null ? [] : [state]), ...updates]) Y.applyUpdate(doc, fromBase64(each));
    return doc;
  }

  #save({ documentId, state }) {
    if (this.isAway) throw new Error('the database is away');
    this.states.set(documentId, state);
  }
}
