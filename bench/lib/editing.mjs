// Clients that edit documents while the server is restarted, and what each of them has seen of the others.
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Longest time to wait for what must happen. */
const PATIENCE_MS = 120_000;

/** A part of sorted values. */
export const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

/** One that writes numbers, and counts those of the others in its document. */
class Editor {
  sent = 0;
  /** Of each other in the document: which numbers came. */
  #seen = new Map();
  doubled = 0;
  downs = [];
  /** For each time it was down: when it was back, and how. */
  ups = [];

  constructor(clientID, documentId) {
    this.clientID = clientID;
    this.documentId = documentId;
  }

  take(from, number) {
    const seen = this.#seen.get(from) ?? new Set();
    this.#seen.set(from, seen);
    if (seen.has(number)) this.doubled += 1;
    seen.add(number);
  }

  /** How many of what `other` wrote did not come. */
  missing(other) {
    return other.sent - (this.#seen.get(other.clientID)?.size ?? 0);
  }

  down() {
    if (this.downs.length === this.ups.length) this.downs.push(performance.now());
  }

  up(how) {
    if (this.ups.length < this.downs.length) this.ups.push({ at: performance.now(), how });
    else this.isUp = true;
  }
}

/**
 * `perDocument` clients in each of `documents` documents, each of which writes every `everyMs`.
 *
 * @param {(editor: Editor) => { write(number: number): void, pending(): number, close(): void }} connect
 */
export class Editing {
  #timers = [];

  constructor({ documents, perDocument, everyMs, connect }) {
    this.editors = [];
    this.everyMs = everyMs;
    for (let index = 0; index < documents * perDocument; index += 1) {
      const editor = new Editor(`client-${index}`, `document-${index % documents}`);
      this.editors.push(Object.assign(editor, { connect }));
    }
  }

  /** Connects all, some at a time, and has them write. */
  async start() {
    for (let from = 0; from < this.editors.length; from += 100) {
      const some = this.editors.slice(from, from + 100);
      for (const editor of some) editor.link = editor.connect(editor);
      await this.#until('clients are connected', () => some.every(({ isUp }) => isUp));
    }
    for (const editor of this.editors) {
      const write = () => {
        editor.sent += 1;
        editor.link.write(editor.sent);
      };
      const begin = setTimeout(() => this.#timers.push(setInterval(write, this.everyMs)), Math.random() * this.everyMs);
      this.#timers.push(begin);
    }
  }

  /** Resolves when each has been down `count` times or more, and is back. */
  back(count) {
    const isBack = ({ downs, ups }) => ups.length >= Math.max(count, downs.length);
    return this.#until('clients are back', () => this.editors.every(isBack));
  }

  /** Has nobody write any more, and waits until all that can arrive has. */
  async stop() {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#until('all is acknowledged', () => this.editors.every(({ link }) => link.pending() === 0)).catch(
      () => {},
    );
    let before;
    for (let rest = 0; rest < 3; rest = this.#lost() === before ? rest + 1 : 0) {
      before = this.#lost();
      if (before === 0) break;
      await delay(500);
    }
  }

  close() {
    for (const { link } of this.editors) link?.close();
  }

  #lost() {
    const byDocument = new Map();
    for (const editor of this.editors) {
      byDocument.set(editor.documentId, [...(byDocument.get(editor.documentId) ?? []), editor]);
    }
    let lost = 0;
    for (const editors of byDocument.values()) {
      for (const editor of editors) for (const other of editors) if (other !== editor) lost += editor.missing(other);
    }
    return lost;
  }

  /** What became of all times that somebody was down. */
  report() {
    const { editors } = this;
    const ups = editors.flatMap((editor) => editor.ups);
    const times = editors.flatMap(({ downs, ups: all }) => all.map(({ at }, index) => at - downs[index]));
    const away = times.sort((a, b) => a - b);
    const seconds = new Map();
    for (const { at } of ups) seconds.set(Math.floor(at / 1000), (seconds.get(Math.floor(at / 1000)) ?? 0) + 1);
    return {
      clients: editors.length,
      downs: ups.length,
      written: editors.reduce((sum, { sent }) => sum + sent, 0),
      backP50Ms: Math.round(percentile(away, 0.5) ?? 0),
      backP99Ms: Math.round(percentile(away, 0.99) ?? 0),
      reloaded: ups.filter(({ how }) => how !== 'recovered').length,
      lost: this.#lost(),
      doubled: editors.reduce((sum, { doubled }) => sum + doubled, 0),
      connectsASecond: Math.max(0, ...seconds.values()),
    };
  }

  async #until(what, condition) {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`never: ${what}`);
      await delay(20);
    }
  }
}

/** Connects by a client of the package to a server that runs at `base`. */
export const byFabricClient = (FabricClient, base, options) => (editor) => {
  const { clientID, documentId } = editor;
  const client = new FabricClient({ url: `${base}/ws/fabric`, documentId, clientID, ...options });
  for (const event of ['connected', 'recovered', 'reload']) client.on(event, () => editor.up(event));
  client.on('status', ({ state }) => state === 'waiting' && editor.down());
  client.on('message', ({ type, clientID: from, update }) => type === 'update' && editor.take(from, update));
  client.connect();
  return {
    write: (number) => client.send('update', number),
    pending: () => client.unacknowledged,
    close: () => client.close(),
  };
};

/** Asks every 10 ms whether a port takes a connection; `stop` answers for how long it did not, in milliseconds. */
export function watchPort(port) {
  let [closedMs, since, isOver] = [0, undefined, false];
  const ask = () =>
    new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      const say = (isOpen) => (socket.destroy(), resolve(isOpen));
      socket.once('connect', () => say(true)).once('error', () => say(false));
    });
  const watching = (async () => {
    while (!isOver) {
      if (await ask()) {
        if (since !== undefined) closedMs += performance.now() - since;
        since = undefined;
      } else since ??= performance.now();
      await delay(10);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await watching;
      return Math.round(closedMs);
    },
  };
}
