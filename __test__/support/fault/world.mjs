// The fault test: clients that write, a network that breaks, route handlers that publish, a process that restarts; and
// in the end the question whether every client was told the truth.
import { setTimeout as delay } from 'node:timers/promises';
import { ChaosProxy } from '../chaos-proxy.mjs';
import { until } from '../processes.mjs';
import { EditorClient } from './editor-client.mjs';
import { judgeEpisode } from './judge.mjs';
import { kindOf } from './labels.mjs';
import { Log } from './log.mjs';
import { OneProcess } from './one-process.mjs';
import { between, pick, planOf, stream } from './seeded.mjs';
import { ShippedClient } from './shipped-client.mjs';
import { StepsClient } from './steps-client.mjs';
import { WireClient } from './wire-client.mjs';

const CATCH_UP_MS = 90_000;

export class World {
  wrongs = [];
  #timers = new Set();
  #isQuiet = false;
  #connections = new Map();
  #patient = new Set();
  /** What route handlers publish that is not settled. */
  #publishing = 0;
  published = { toAll: 0, toOne: 0, refused: 0, stale: 0 };

  constructor({ seed, clients = 200, documents = 20, stage = new OneProcess(), progress = () => {} }) {
    Object.assign(this, { seed, stage, progress, counts: { clients, documents } });
  }

  async start() {
    const { clients, documents } = this.counts;
    this.documentIds = Array.from({ length: documents }, (_, index) => this.stage.nameOf(index));
    await this.stage.start(this.documentIds);
    this.proxy = await ChaosProxy.start(0, (target) => this.#plan(target));
    this.clients = Array.from({ length: clients }, (_, index) => this.#client(index));
    for (const client of this.clients) client.connect();
    for (const client of this.clients) this.#write(client);
    for (const [index, documentId] of this.documentIds.entries()) this.#publish(documentId, index);
  }

  #client(index) {
    const clientID = `client-${index}`;
    const documentId = this.documentIds[index % this.documentIds.length];
    const random = stream(this.seed, 'waits', clientID);
    const common = { clientID, documentId, base: this.proxy.base, random, log: new Log(clientID) };
    // In every document half of each kind; and in the busy one some that do not read, and wait long for the hub.
    const place = Math.floor(index / this.documentIds.length);
    const isPatient = index % this.documentIds.length === 0 && place % 4 < 2;
    common.patienceMs = isPatient ? 60_000 : 3000;
    if (isPatient) this.#patient.add(clientID);
    common.kind = kindOf(documentId);
    if (common.kind === 'steps' && place % 2 === 0) {
      return new EditorClient({ ...common, isSlowToReturn: random() < 0.2 });
    }
    if (common.kind === 'steps') {
      const mayWrite = () => this.stage.mayWrite(documentId);
      return new StepsClient({ ...common, mayWrite, mayStayAway: () => !this.#isQuiet });
    }
    if (place % 2 === 0) {
      return new ShippedClient({ ...common, isSlowToReturn: random() < 0.2 });
    }
    return new WireClient({ ...common, mayStayAway: () => !this.#isQuiet });
  }

  #plan(target) {
    const clientID = new URLSearchParams(target.split('?')[1]).get('clientID');
    const number = (this.#connections.get(clientID) ?? 0) + 1;
    this.#connections.set(clientID, number);
    const port = this.stage.port(stream(this.seed, 'where', clientID, number));
    if (this.#isQuiet) return { port };
    return { port, ...planOf(this.seed, clientID, number, { isPatient: this.#patient.has(clientID) }) };
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
      if (!this.stage.mayWrite(client.documentId)) return;
      const size = random() < 0.9 ? between(random, 10, 300) : between(random, 1000, 4000);
      client.send(client.log.label(), size);
    });
  }

  /** A route handler that publishes to a document, now and then to one client; in some documents much. */
  #publish(documentId, index) {
    const random = stream(this.seed, 'publishes', documentId);
    const members = this.clients.filter((client) => client.documentId === documentId);
    let count = 0;
    const isBusy = index === 0;
    const isRelay = kindOf(documentId) === 'relay';
    this.#again(random, isBusy ? 80 : isRelay ? 300 : 1000, () => {
      if (!this.stage.mayWrite(documentId)) return;
      count += 1;
      const pad = 'x'.repeat(isBusy ? between(random, 10_000, 60_000) : between(random, 0, 1000));
      const to = isRelay && random() < 0.3 ? pick(random, members).clientID : undefined;
      const label = `agent-${documentId}/0/${count}`;
      this.#publishing += 1;
      this.stage
        .publish({ documentId, label, to, steps: [{ label, pad }] })
        .then(
          () => (this.published[to === undefined ? 'toAll' : 'toOne'] += 1),
          ({ code }) => {
            this.published[code === 'HUB_STALE' ? 'stale' : 'refused'] += 1;
            if (!this.stage.mayRefuse(code)) this.wrongs.push(`what a route handler did was refused: ${code}`);
          },
        )
        .finally(() => (this.#publishing -= 1));
    });
  }

  /** Breaks nothing any more, and waits until everybody has everything; then everything is judged. */
  async settle() {
    this.#isQuiet = true;
    for (const timer of this.#timers) clearTimeout(timer);
    // Also those that were silent: nobody has to find that out now.
    this.proxy.dropAll();
    const late = () => this.clients.filter((client) => client.offset < 0 || client.unacknowledged > 0);
    const show = (clients) =>
      clients
        .slice(0, 5)
        .map(({ clientID }) => clientID)
        .join();
    await this.#settled(
      () => late().length === 0 && this.#publishing === 0,
      () => `${late().length} clients to come back: ${show(late())} …; and ${this.#publishing} route handlers`,
    );
    await this.stage.sync();
    const behind = () => this.clients.filter((client) => client.offset < this.stage.lastFor(client));
    await this.#settled(
      () => behind().length === 0,
      () => `${behind().length} clients to catch up: ${show(behind())} …`,
    );
    await this.#settled(
      () => this.stage.unsaved().length === 0,
      () => `${this.stage.unsaved()} to be saved`,
    );
    // Nothing may come twice, so let what would come arrive.
    await delay(200);
    await this.stage.read();
  }

  async #settled(isDone, what) {
    try {
      await until(what, isDone, { timeoutMs: CATCH_UP_MS });
    } catch (error) {
      this.wrongs.push(error.message);
    }
  }

  /** Everything that was found, and what it was found in. */
  judge() {
    let delivered = 0;
    let sent = 0;
    for (const documentId of this.documentIds) {
      const members = this.clients.filter((client) => client.documentId === documentId);
      const logs = members.map(({ log }) => log);
      const truth = this.stage.truthOf(documentId, (what) => this.wrongs.push(`${documentId}: ${what}`), members);
      for (const log of logs) {
        for (const episode of log.episodes) {
          const isLast = episode === log.episode;
          const published = truth.publishedIn(episode, isLast);
          if (!published) log.wrong(`was in an epoch which there was none of: ${shown(episode, log)}`);
          else delivered += judgeEpisode(log, episode, published, isLast);
        }
        sent += truth.judgeSent(log);
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
      ...this.stage.report(),
      findings: [...this.wrongs, ...this.stage.wrongs, ...logs.flatMap((log) => log.wrongs)],
    };
  }

  async end() {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const client of this.clients ?? []) client.end();
    await this.proxy?.close();
    await this.stage.end();
  }
}

/** Where in its log a stretch is, for whoever looks for what went wrong. */
function shown({ epoch, start, recoveries, entries }, { episodes }) {
  const place = `${episodes.findIndex((each) => each.epoch === epoch && each.start === start) + 1} of ${episodes.length}`;
  return `${epoch} from ${start}, stretch ${place}, ${recoveries} recoveries, ${entries.length} messages`;
}

/** Runs it for so many seconds, with `restarts` of the hub where that is one process, and answers what was found. */
export async function runFaults({ seconds, restarts = 1, progress = () => {}, ...options }) {
  const world = new World(options);
  const look = setInterval(() => {
    const { connections, stalls, FIN, RST, silence } = world.proxy.done;
    progress(`${connections} connections; cut by FIN ${FIN}, by RST ${RST}, silent ${silence}; stalled ${stalls}`);
  }, 10_000);
  try {
    await world.start();
    await world.stage.during(seconds, { restarts, progress });
    progress('calm: waiting until everybody has everything');
    await world.settle();
    return world.judge();
  } finally {
    clearInterval(look);
    await world.end();
  }
}
