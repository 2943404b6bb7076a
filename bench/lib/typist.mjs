// Somebody who types in a document, and how long each character waits until it is confirmed.
import { setTimeout as delay } from 'node:timers/promises';
import { schema } from 'prosemirror-schema-basic';
import { EditorState } from 'prosemirror-state';
import { FabricClient } from '../../js/client.js';
import { CollabSession, fabricCollab, fabricStatus } from '../../js/prosemirror.mjs';
import { lineOf } from './slow-line.mjs';

const BETWEEN_MS = 200;

class Typist {
  /** When each character was typed that is not confirmed. */
  #waiting = [];
  #waits = [];
  #refusals = 0;

  constructor(url, documentId, index, oneWayMs) {
    const options = { url: `${url}/ws/fabric`, documentId, clientID: `typist-${index}`, WebSocket: lineOf(oneWayMs) };
    this.client = new FabricClient(options);
    this.client.on('message', ({ code }) => (this.#refusals += code === 'VERSION_MISMATCH'));
  }

  /** A character is a step, and nobody deletes: fewer steps that wait are so many that were confirmed. */
  confirmed(unconfirmed) {
    for (const at of this.#waiting.splice(0, this.#waiting.length - unconfirmed)) {
      this.#waits.push(performance.now() - at);
    }
  }

  /** Types 5 characters a second for so long. What is not confirmed in the end counts as it has waited by then. */
  async type(ms) {
    const until = performance.now() + ms;
    await delay(Math.random() * BETWEEN_MS);
    while (performance.now() < until) {
      this.#waiting.push(performance.now());
      this.insert();
      await delay(BETWEEN_MS * (0.5 + Math.random()));
    }
    const now = performance.now();
    this.stop();
    return { waits: [...this.#waits, ...this.#waiting.map((at) => now - at)], refusals: this.#refusals };
  }
}

/** With a real editor, by prosemirror-collab, that puts each character somewhere. */
export class EditorTypist extends Typist {
  constructor(...args) {
    super(...args);
    this.state = EditorState.create({ schema, plugins: fabricCollab(this.client) });
    this.live = new Promise((onLive) => (this.session = new CollabSession(this, this.client, { onLive })));
    this.session.start();
  }

  dispatch = (transaction) => {
    this.state = this.state.apply(transaction);
    this.confirmed(fabricStatus(this.state).unconfirmed);
  };

  insert() {
    const end = this.state.doc.content.size - 1;
    this.dispatch(this.state.tr.insertText('x', 1 + Math.floor(Math.random() * end)));
    this.session.update();
  }

  stop() {
    this.session.stop();
    this.client.close();
  }
}

const FIRST = { stepType: 'replace', from: 1, to: 1, slice: { content: [{ type: 'text', text: 'x' }] } };
/** Steps of one batch at most, as the package's editor has it. */
const MOST_STEPS = 200;

/**
 * Without an editor: each character goes to the beginning, where it stays right whatever others have typed. Of two hundred real
 * editors each would take every step of all the others, which is more than a machine can do beside the server; what is
 * sent, when, and what becomes of a refusal is the same.
 */
export class LightTypist extends Typist {
  #version = null;
  #target = null;
  #pending = 0;
  /** How many steps were sent that are not answered. */
  #asked = 0;
  #timer;

  constructor(...args) {
    super(...args);
    this.live = new Promise((resolve) => (this.onLive = resolve));
    this.client.on('message', (message) => this.#receive(message));
    for (const event of ['connected', 'recovered', 'reload']) this.client.on(event, () => this.#sync());
    this.client.connect();
  }

  insert() {
    this.#pending += 1;
    this.#send();
  }

  stop() {
    clearTimeout(this.#timer);
    this.client.close();
  }

  #sync() {
    this.#asked = 0;
    this.#target = null;
    this.client.submit('sync', this.#version === null ? {} : { version: this.#version });
  }

  #receive({ type, version, steps, clientID, code, retryInMs }) {
    if (type === 'sync') this.#version = version;
    else if (type === 'synced' || type === 'upToDate') this.#target = version;
    else if (type === 'steps') this.#accepted(version, steps.length, clientID);
    else if (code === 'VERSION_MISMATCH') this.#refused(retryInMs);
    else return;
    if (this.#version !== null && this.#version >= this.#target) this.onLive();
    this.#send();
  }

  #accepted(version, count, clientID) {
    if (version !== this.#version) throw new Error(`steps of version ${version} came at version ${this.#version}`);
    this.#version += count;
    if (clientID !== this.client.clientID) return;
    this.#pending -= count;
    this.#asked = 0;
    this.confirmed(this.#pending);
  }

  #refused(retryInMs) {
    this.#asked = 0;
    clearTimeout(this.#timer);
    this.#timer = retryInMs > 0 ? setTimeout(() => ((this.#timer = undefined), this.#send()), retryInMs) : undefined;
  }

  #send() {
    const isLive = this.#version !== null && this.#target !== null && this.#version >= this.#target;
    if (!isLive || this.#asked > 0 || this.#pending === 0 || this.#timer !== undefined) return;
    const steps = new Array(Math.min(this.#pending, MOST_STEPS)).fill(FIRST);
    if (this.client.submit('steps', { version: this.#version, steps })) this.#asked = steps.length;
  }
}
