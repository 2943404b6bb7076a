// What tests of the Y.js provider stand on: documents with the shipped provider over the shipped client, and what they say.
import WebSocket from 'ws';
import * as Y from 'yjs';
import { FabricProvider } from '../../js/yjs.mjs';
import { later } from './client-stage.mjs';
import { uniqueId } from './hub-server.mjs';
import { until } from './processes.mjs';
import { RecordedClient } from './recorded-client.mjs';

/** One person's document: `doc`, `client`, `provider`, and every message that its client has sent. */
export class Editor {
  /** Messages that went into a socket, as objects. */
  sent = [];
  faults = [];

  /** `at` is a server, a proxy or a base URL. */
  static open(at, documentId, { doc = new Y.Doc(), clientID = uniqueId('editor'), provider = {}, ...options } = {}) {
    const editor = new Editor();
    const { sent } = editor;
    class Listened extends WebSocket {
      send(text, ...rest) {
        sent.push(JSON.parse(text));
        super.send(text, ...rest);
      }
    }
    editor.clientID = clientID;
    editor.doc = doc;
    editor.client = new RecordedClient({
      url: `${at.base ?? at}/ws/fabric`,
      documentId,
      clientID,
      WebSocket: Listened,
      ...options,
    });
    editor.provider = new FabricProvider(doc, editor.client, provider);
    editor.provider.on('error', (fault) => editor.faults.push(fault));
    later(() => editor.close());
    return editor;
  }

  get id() {
    return this.doc.clientID;
  }

  get text() {
    return this.doc.getText('text');
  }

  /** Client ids whose awareness this one knows, itself included. */
  get present() {
    return [...this.provider.awareness.getStates().keys()].sort((a, b) => a - b);
  }

  isSynced() {
    return until(
      () =>
        `${this.id} to be synced; ${this.client.record.map((each) => JSON.stringify(each).slice(0, 150)).join(' ')}`,
      () => this.provider.synced,
      { everyMs: 5 },
    );
  }

  shows(text) {
    return until(
      () => `${JSON.stringify(text).slice(0, 80)}; there is ${JSON.stringify(this.text.toString()).slice(0, 200)}`,
      () => this.text.toString() === text,
      { everyMs: 5 },
    );
  }

  sentOf(type) {
    return this.sent.filter((message) => message.type === type);
  }

  /** How often it has said that it brought another one up to date, each question counted once. */
  answersTo(other) {
    const answers = this.sentOf('awareness').flatMap(({ awareness }) => awareness.answers ?? []);
    return new Set(answers.filter(({ to }) => to === other.id).map(({ id }) => id)).size;
  }

  /** Ends as a page does that is closed. */
  close() {
    this.provider.destroy();
    this.client.close();
  }
}

/** Everything that a document has, so that equal documents have equal ones: the order of keys is none of Y.js's. */
export function contentOf(doc) {
  const content = {
    text: doc.getText('text').toDelta(),
    map: doc.getMap('map').toJSON(),
    array: doc.getArray('array').toJSON(),
    xml: doc.getXmlFragment('xml').toString(),
  };
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
  const sorted = (_, value) => (isObject(value) ? Object.fromEntries(Object.entries(value).sort()) : value);
  return JSON.stringify(content, sorted);
}

/** What keeps documents from being one: null once they have the same content, clocks and deletions, and nothing waits. */
export function differenceOf([first, ...others]) {
  const snapshot = Y.snapshot(first);
  const content = contentOf(first);
  for (const doc of [first, ...others]) {
    if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) return `${doc.clientID} waits for updates`;
    if (contentOf(doc) !== content) return `${doc.clientID} has other content than ${first.clientID}`;
    if (!Y.equalSnapshots(Y.snapshot(doc), snapshot))
      return `${doc.clientID} has another history than ${first.clientID}`;
  }
  return null;
}

export function converged(docs, options) {
  return until(
    () => `one document; ${differenceOf(docs)}`,
    () => differenceOf(docs) === null,
    { everyMs: 20, ...options },
  );
}
