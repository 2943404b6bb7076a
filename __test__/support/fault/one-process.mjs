// The fault test of one process: a hub that is restarted, and on each document a witness.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { broadcastSteps, broadcastStepsToClient } from '../../../js/index.js';
import { HubServer } from '../hub-server.mjs';
import { expectedOf, judgeSent, publishedIn } from './judge.mjs';
import { labelOf } from './labels.mjs';
import { HUB } from './options.mjs';

/** Nobody listens there. */
const NOWHERE = 1;

/** Sees everything on a document but what is for one client, over a connection that nobody breaks. */
class Witness {
  constructor(documentId) {
    this.documentId = documentId;
    /** What was seen in each epoch: `{ epoch, start, seen, privates }`, the newest last. */
    this.epochs = [];
  }

  get epoch() {
    return this.epochs.at(-1);
  }

  async connect(base) {
    const query = new URLSearchParams({ documentId: this.documentId, clientID: 'witness' });
    this.socket = new WebSocket(`${base}/ws/fabric?${query}`);
    this.socket.on('message', (data) => this.#receive(JSON.parse(data.toString())));
    await once(this.socket, 'message');
  }

  #receive(message) {
    const { type, epoch, offset } = message;
    if (type === 'connected') this.epochs.push({ epoch, start: offset, seen: [], privates: [] });
    else if (type === 'synced') this.synced?.();
    else if (offset !== undefined) this.epoch.seen.push({ offset, label: labelOf(message) });
  }

  /** Resolves when everything has been seen that the hub had before. */
  async sync() {
    const synced = new Promise((resolve) => (this.synced = resolve));
    this.socket.send(JSON.stringify({ type: 'sync', documentId: this.documentId }));
    await synced;
  }
}

export class OneProcess {
  wrongs = [];
  #port = NOWHERE;
  #isWatched = false;

  nameOf(index) {
    return `document-${index}`;
  }

  async start(documentIds) {
    this.witnesses = documentIds.map((documentId) => new Witness(documentId));
    await this.#begin();
  }

  async #begin() {
    // At a restart all are closed at once: a witness that is closed before others does not see what they are still sent.
    this.server = await HubServer.start({ ...HUB, threads: 2, drainMs: 0 });
    await Promise.all(this.witnesses.map((witness) => witness.connect(this.server.base)));
    this.#isWatched = true;
    this.#port = this.server.port;
  }

  /** Where a client gets to that connects now. */
  port() {
    return this.#port;
  }

  /** Has a route handler publish; settles as its promise does. */
  publish({ documentId, label, to, steps }) {
    const { epoch } = this.#witnessOf(documentId);
    const sent =
      to === undefined
        ? broadcastSteps(documentId, steps, label)
        : broadcastStepsToClient(documentId, to, steps, label);
    if (to === undefined) return sent;
    // The call itself is made before `sent` settles, so the order of the calls is the order here.
    const kept = { label, to };
    epoch.privates.push(kept);
    return sent.catch((error) => {
      epoch.privates.splice(epoch.privates.indexOf(kept), 1);
      throw error;
    });
  }

  /** Whether a refusal is one that may happen. */
  mayRefuse(code) {
    return code === 'HUB_CLOSED' || code === 'HUB_NOT_RUNNING';
  }

  /** Not while there is a hub that the witnesses do not see yet. */
  mayWrite() {
    return this.#isWatched;
  }

  /** Runs for so long, with restarts evenly spread. */
  async during(seconds, { restarts }) {
    for (let part = 0; part <= restarts; part += 1) {
      if (part > 0) await this.#restart();
      await delay((1000 * seconds) / (restarts + 1));
    }
  }

  /** Ends the hub as a restart does, and starts another; nobody comes in before the witnesses are there. */
  async #restart() {
    this.#port = NOWHERE;
    await this.server.close();
    this.#isWatched = false;
    await this.#begin();
  }

  /** Resolves when everything that was published is known here. */
  async sync() {
    await Promise.all(this.witnesses.map((witness) => witness.sync()));
  }

  /** Relays have nothing to save, and nothing to read. */
  unsaved() {
    return [];
  }

  async read() {}

  #witnessOf(documentId) {
    return this.witnesses.find((witness) => witness.documentId === documentId);
  }

  /** The last offset of what was published for a client in the end. */
  lastFor({ clientID, documentId, log }) {
    const { epoch } = this.#witnessOf(documentId);
    const published = publishedIn(epoch, epoch.privates, () => {});
    return expectedOf(clientID, log.episode, published).at(-1)?.offset ?? 0;
  }

  /** What was published to a document: `publishedIn(episode)`, and `judgeSent(log)`. */
  truthOf(documentId, wrong) {
    const { epochs } = this.#witnessOf(documentId);
    const all = epochs.map((each) => ({ ...each, published: publishedIn(each, each.privates, wrong) }));
    const publications = all.flatMap(({ published }) => published);
    return {
      publishedIn: (episode) => all.find(({ epoch }) => epoch === episode.epoch)?.published,
      judgeSent: (log) => judgeSent(log, publications),
    };
  }

  /** What is to be reported of it beside what clients saw. */
  report() {
    return {};
  }

  async end() {
    for (const { socket } of this.witnesses ?? []) socket?.terminate();
    await this.server?.close();
  }
}
