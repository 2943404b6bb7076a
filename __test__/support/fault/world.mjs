// The fault test: clients that write, a network that breaks, route handlers that publish, a process that restarts; and
// in the end the question whether every client was told the truth.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { broadcastSteps, broadcastStepsToClient } from '../../../js/index.js';
import { ChaosProxy } from '../chaos-proxy.mjs';
import { HubServer } from '../hub-server.mjs';
import { until } from '../processes.mjs';
import { expectedOf, judgeEpisode, judgeSent, publishedIn } from './judge.mjs';
import { labelOf, Log } from './log.mjs';
import { between, pick, planOf, stream } from './seeded.mjs';
import { ShippedClient } from './shipped-client.mjs';
import { WireClient } from './wire-client.mjs';

/**
 * So that windows end within seconds, and clients are slow when the kernel's 4 MiB are full. At a restart all are closed at
 * once: a witness that is closed before others does not see what they are still sent.
 */
const HUB = { maxOutboxBytes: 128 * 1024, recoveryWindowMs: 4000, threads: 2, drainMs: 0 };

const CATCH_UP_MS = 90_000;

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

export class World {
  wrongs = [];
  #timers = new Set();
  #isQuiet = false;
  #connections = new Map();
  #patient = new Set();
  published = { toAll: 0, toOne: 0, refused: 0 };

  constructor({ seed, clients = 200, documents = 20, progress = () => {} }) {
    Object.assign(this, { seed, progress, counts: { clients, documents } });
  }

  async start() {
    const { clients, documents } = this.counts;
    this.server = await HubServer.start(HUB);
    this.proxy = await ChaosProxy.start(this.server.port, (target) => this.#plan(target));
    this.witnesses = Array.from({ length: documents }, (_, index) => new Witness(`document-${index}`));
    await this.#watch();
    this.clients = Array.from({ length: clients }, (_, index) => this.#client(index));
    for (const client of this.clients) client.connect();
    for (const client of this.clients) this.#write(client);
    for (const [index, witness] of this.witnesses.entries()) this.#publish(witness, index);
  }

  #watch() {
    return Promise.all(this.witnesses.map((witness) => witness.connect(this.server.base)));
  }

  #client(index) {
    const clientID = `client-${index}`;
    const documentId = this.witnesses[index % this.witnesses.length].documentId;
    const random = stream(this.seed, 'waits', clientID);
    const common = { clientID, documentId, base: this.proxy.base, random, log: new Log(clientID) };
    // In every document half of each kind; and in the busy one some that do not read, and wait long for the hub.
    const place = Math.floor(index / this.witnesses.length);
    const isPatient = index % this.witnesses.length === 0 && place % 4 < 2;
    common.patienceMs = isPatient ? 60_000 : 3000;
    if (isPatient) this.#patient.add(clientID);
    if (place % 2 === 0) {
      return new ShippedClient({ ...common, isSlowToReturn: random() < 0.2 });
    }
    return new WireClient({ ...common, mayStayAway: () => !this.#isQuiet });
  }

  #plan(target) {
    const clientID = new URLSearchParams(target.split('?')[1]).get('clientID');
    const number = (this.#connections.get(clientID) ?? 0) + 1;
    this.#connections.set(clientID, number);
    return this.#isQuiet ? {} : planOf(this.seed, clientID, number, { isPatient: this.#patient.has(clientID) });
  }

  /** Has something done again and again, after waits that `random` makes. */
  #again(random, meanMs, deed) {
    const next = () => {
      const timer = setTimeout(
        () => {
          this.#timers.delete(timer);
          deed();
          next();
        },
        -meanMs * Math.log(1 - random()),
      );
      this.#timers.add(timer);
    };
    next();
  }

  #write(client) {
    const random = stream(this.seed, 'writes', client.clientID);
    this.#again(random, 700, () => {
      const size = random() < 0.9 ? between(random, 10, 300) : between(random, 1000, 4000);
      client.send(client.log.label(), size);
    });
  }

  /** A route handler that publishes to a document, now and then to one client; in some documents much. */
  #publish(witness, index) {
    const { documentId } = witness;
    const random = stream(this.seed, 'publishes', documentId);
    const members = this.clients.filter((client) => client.documentId === documentId);
    let count = 0;
    const isBusy = index === 0;
    this.#again(random, isBusy ? 80 : 300, () => {
      count += 1;
      const pad = 'x'.repeat(isBusy ? between(random, 10_000, 60_000) : between(random, 0, 1000));
      const to = random() < 0.3 ? pick(random, members).clientID : undefined;
      const label = `agent-${documentId}/0/${count}`;
      this.#broadcast(witness.epoch, { documentId, label, to, steps: [{ label, pad }] });
    });
  }

  #broadcast(epoch, { documentId, label, to, steps }) {
    const sent =
      to === undefined
        ? broadcastSteps(documentId, steps, label)
        : broadcastStepsToClient(documentId, to, steps, label);
    // The call itself is made before `sent` settles, so the order of the calls is the order here.
    const kept = to === undefined ? null : { label, to };
    if (kept) epoch.privates.push(kept);
    sent.then(
      () => (this.published[to === undefined ? 'toAll' : 'toOne'] += 1),
      ({ code }) => {
        if (kept) epoch.privates.splice(epoch.privates.indexOf(kept), 1);
        this.published.refused += 1;
        if (code !== 'HUB_CLOSED' && code !== 'HUB_NOT_RUNNING') this.wrongs.push(`a broadcast was refused: ${code}`);
      },
    );
  }

  /** Ends the hub as a restart does, and starts another; nobody comes in before the witnesses are there. */
  async restart() {
    this.proxy.hubPort = 1;
    await this.server.close();
    this.server = await HubServer.start(HUB);
    await this.#watch();
    this.proxy.hubPort = this.server.port;
  }

  /** Breaks nothing any more, and waits until everybody has everything; then everything is judged. */
  async settle() {
    this.#isQuiet = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.proxy.cutAll('RST');
    const late = () => this.clients.filter((client) => client.offset < 0 || client.unacknowledged > 0);
    const show = (clients) =>
      clients
        .slice(0, 5)
        .map(({ clientID }) => clientID)
        .join();
    await this.#settled(
      () => late().length === 0,
      () => `${late().length} clients to come back: ${show(late())} …`,
    );
    await Promise.all(this.witnesses.map((witness) => witness.sync()));
    const behind = () => this.clients.filter((client) => client.offset < this.#lastFor(client));
    await this.#settled(
      () => behind().length === 0,
      () => `${behind().length} clients to catch up: ${show(behind())} …`,
    );
    // Nothing may come twice, so let what would come arrive.
    await delay(200);
  }

  async #settled(isDone, what) {
    try {
      await until(what, isDone, { timeoutMs: CATCH_UP_MS });
    } catch (error) {
      this.wrongs.push(error.message);
    }
  }

  #witnessOf(client) {
    return this.witnesses.find(({ documentId }) => documentId === client.documentId);
  }

  #lastFor({ clientID, log, ...client }) {
    const { epoch } = this.#witnessOf(client);
    return (
      expectedOf(
        clientID,
        log.episode,
        publishedIn(epoch, epoch.privates, () => {}),
      ).at(-1)?.offset ?? 0
    );
  }

  /** Everything that was found, and what it was found in. */
  judge() {
    let delivered = 0;
    let sent = 0;
    for (const witness of this.witnesses) {
      const wrong = (what) => this.wrongs.push(`${witness.documentId}: ${what}`);
      const epochs = witness.epochs.map((each) => ({ ...each, published: publishedIn(each, each.privates, wrong) }));
      const publications = epochs.flatMap(({ published }) => published);
      for (const { log } of this.clients.filter(({ documentId }) => documentId === witness.documentId)) {
        for (const episode of log.episodes) {
          const { published } = epochs.find(({ epoch }) => epoch === episode.epoch) ?? {};
          if (!published) log.wrong(`was in epoch ${episode.epoch}, which there was none of`);
          else delivered += judgeEpisode(log, episode, published, episode === log.episode);
        }
        sent += judgeSent(log, publications);
      }
    }
    const logs = this.clients.map(({ log }) => log);
    const total = (name) => {
      const sums = {};
      for (const log of logs)
        for (const [key, count] of Object.entries(log[name])) sums[key] = (sums[key] ?? 0) + count;
      return sums;
    };
    const fates = {};
    for (const log of logs) for (const fate of log.fates.values()) fates[fate] = (fates[fate] ?? 0) + 1;
    const episodes = logs.flatMap((log) => log.episodes);
    return {
      seed: this.seed,
      ...this.counts,
      cuts: this.proxy.done,
      closes: total('closes'),
      recovered: episodes.reduce((sum, { recoveries }) => sum + recoveries, 0),
      reloads: total('reloads'),
      fromRouteHandlers: this.published,
      fromClients: { ...fates, published: sent },
      delivered,
      findings: [...this.wrongs, ...logs.flatMap((log) => log.wrongs)],
    };
  }

  async end() {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const client of this.clients ?? []) client.end();
    for (const { socket } of this.witnesses ?? []) socket?.terminate();
    await this.proxy?.close();
    await this.server?.close();
  }
}

/** Runs it for so many seconds, with restarts evenly spread, and answers what was found. */
export async function runFaults({ seconds, restarts = 1, progress = () => {}, ...options }) {
  const world = new World(options);
  try {
    await world.start();
    for (let part = 0; part <= restarts; part += 1) {
      if (part > 0) await world.restart();
      const until = Date.now() + (1000 * seconds) / (restarts + 1);
      while (Date.now() < until) {
        await delay(Math.min(10_000, until - Date.now()));
        const { connections, stalls, FIN, RST, silence } = world.proxy.done;
        progress(`${connections} connections; cut by FIN ${FIN}, by RST ${RST}, silent ${silence}; stalled ${stalls}`);
      }
    }
    progress('calm: waiting until everybody has everything');
    await world.settle();
    return world.judge();
  } finally {
    await world.end();
  }
}
