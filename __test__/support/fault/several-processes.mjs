// The fault test of several processes: hubs over one Redis, between which and their clients everything can break.
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../processes.mjs';
import { App } from './app.mjs';
import { Branches } from './branches.mjs';
import { FAULTS } from './cluster-faults.mjs';
import { HubProcess } from './hub-process.mjs';
import { kindOf, labelsIn } from './labels.mjs';
import { HUB } from './options.mjs';
import { RedisEars } from './redis-ears.mjs';
import { RedisLog } from './redis-log.mjs';
import { RedisPair } from './redis-pair.mjs';
import { between, pick, shuffled, stream } from './seeded.mjs';
import { SENTINEL_FAULTS } from './sentinel-faults.mjs';
import { SentinelPair } from './sentinels.mjs';
import { StepsBranches } from './steps-branches.mjs';
import { UpdatesBranches } from './updates-branches.mjs';

/** So that Redis is noticed to be away, and what waits for it is refused, within seconds. */
const REDIS = { connectTimeoutMs: 700, commandTimeoutMs: 700, waitMs: 2500 };

/** So that saves fall into every fault. */
const DOCUMENTS = { saveAfterMs: 200, saveWithinMs: 1000 };

/** What is judged of documents of each kind. */
const JUDGES = { relay: Branches, steps: StepsBranches, updates: UpdatesBranches };

/** Nobody listens there. */
const NOWHERE = 1;

/** How long nobody writes to some documents before a replica that is behind takes over: longer than a retry. */
const HELD_MS = 1000;

/** How long a fault may take to be over for the hubs, too. */
const READY_MS = 20_000;

export class SeveralProcesses {
  /** What became of what route handlers published, by label. */
  fates = new Map();
  /** Documents to which nobody writes at the moment. */
  #held = new Set();
  /** The hubs that were killed. */
  #ended = [];
  /** How long after a fault all hubs were ready again, in milliseconds. */
  readyAfter = [];
  /** Documents with an authority, as each process has them in the end. */
  documents = new Map();
  #ears;
  #labels = 0;

  /**
   * @param about `kinds` that documents have, beside relays; `isWatched`: whether sentinels say which server is the primary;
   *   `said` is given what processes say
   */
  constructor({ seed, processes = 3, kinds = ['steps', 'updates'], isWatched = false, said }) {
    Object.assign(this, {
      seed,
      said,
      kinds,
      isWatched,
      faults: isWatched ? SENTINEL_FAULTS : FAULTS,
      counts: { processes },
      random: stream(seed, 'publishers'),
      app: new App(seed),
    });
    /** How often what was done. */
    this.done = Object.fromEntries(Object.keys(this.faults).map((name) => [name, 0]));
  }

  /** How the index-th document is called: its kind is in its name. */
  nameOf(index) {
    const kind = index % 4 === 3 ? 'steps' : index % 7 === 6 ? 'updates' : 'relay';
    return this.kinds.includes(kind) ? `${kind}-${index}` : `document-${index}`;
  }

  async start(documentIds) {
    this.documentIds = documentIds;
    this.log = new RedisLog(documentIds);
    const count = this.counts.processes;
    this.redis = this.isWatched ? await SentinelPair.start() : await RedisPair.start(count);
    this.server = await this.redis.primary.version();
    this.#ears = new RedisEars(this.redis.servers, this.log);
    this.hubs = await Promise.all(Array.from({ length: count }, (_, index) => this.#hub(index)));
  }

  #hub(index) {
    const redis = { ...REDIS, ...this.redis.address(index) };
    // Longer than a silence: what is under way when a client is told what was applied is published by then, or never.
    const options = { ...HUB, recoveryWindowMs: 6000, threads: 1, logLevel: 'warn', redis, documents: DOCUMENTS };
    return HubProcess.start(options, this.app, this.said);
  }

  get wrongs() {
    return this.log.wrongs;
  }

  /** Where a client gets to that connects now: any of the processes, also one that is not there. */
  port(random) {
    return pick(random, this.hubs).port || NOWHERE;
  }

  /** Has a route handler of some process publish; settles as its promise does. */
  async publish({ documentId, to, steps: [step] }) {
    const index = Math.floor(this.random() * this.hubs.length);
    this.#labels += 1;
    // Those of one process are in order.
    const label = `agent-${documentId}-${index}/0/${this.#labels}`;
    this.fates.set(label, 'sent');
    try {
      const kind = kindOf(documentId);
      if (kind === 'relay')
        await this.hubs[index].ask('publish', { documentId, to, label, steps: [{ ...step, label }] });
      else await this.hubs[index].ask(kind === 'steps' ? 'edit' : 'update', { documentId, label, pad: step.pad });
      this.fates.set(label, 'acknowledged');
    } catch (error) {
      // Too late each time that it was tried: that is known.
      this.fates.set(label, error.code === 'HUB_STALE' ? 'unpublished' : 'unknown');
      throw error;
    }
  }

  mayRefuse(code) {
    return ['HUB_UNAVAILABLE', 'HUB_STALE', 'KILLED'].includes(code);
  }

  mayWrite(documentId) {
    return !this.#held.has(documentId);
  }

  /** One fault after the other, in an order that the seed makes: each kind once, however long that takes, before any again. */
  async during(seconds, { progress }) {
    const end = Date.now() + 1000 * seconds;
    for (let round = 0; ; round += 1) {
      for (const name of shuffled(stream(this.seed, 'faults', round), Object.keys(this.faults))) {
        const random = stream(this.seed, 'fault', round, name);
        await delay(between(random, 200, 1200));
        if (round > 0 && Date.now() > end) return;
        await this.faults[name].deed(this, random);
        this.done[name] += 1;
        progress(`${name}: all processes are ready ${await this.ready()} ms later`);
      }
    }
  }

  /** Waits until all hubs say that they are ready; answers how long that took. */
  async ready() {
    const begun = Date.now();
    const isReady = async (hub) => (await hub.ask('redis')).ready;
    for (const hub of this.hubs) {
      await until('a hub to be ready', () => isReady(hub), { timeoutMs: READY_MS });
    }
    this.readyAfter.push(Date.now() - begun);
    return Date.now() - begun;
  }

  /** Kills a process, and starts another in its place after a while. */
  async restart(index, afterMs) {
    const hub = this.hubs[index];
    await hub.end();
    this.#ended.push(hub);
    await delay(afterMs);
    this.hubs[index] = await this.#hub(index);
  }

  /** Has nobody write to some documents, of which the replica then has everything. */
  async hold(random) {
    this.#held = new Set(this.documentIds.filter(() => random() < 0.5));
    await delay(HELD_MS);
    await this.redis.synced();
  }

  release() {
    this.#held = new Set();
  }

  async sync() {
    await this.log.read(this.redis.primary);
    this.branches = new Map(
      this.documentIds.map((id) => {
        const Judge = JUDGES[kindOf(id)];
        return [id, new Judge(id, this.log.trees(id), this.log.tops.get(id))];
      }),
    );
  }

  /** The documents of which the app does not have all that was published. */
  unsaved() {
    return this.documentIds.filter((id) => !this.branches.get(id).isSaved(this.app));
  }

  /** Reads documents with an authority in each process, as route handlers do. */
  async read() {
    const kept = this.documentIds.filter((id) => kindOf(id) !== 'relay');
    const one = async (hub, documentId) => {
      const { doc, state, version = 0 } = await hub.ask('read', { documentId });
      return { version, labels: labelsIn(state ?? doc) };
    };
    for (const id of kept) this.documents.set(id, await Promise.all(this.hubs.map((hub) => one(hub, id))));
  }

  lastFor(client) {
    return this.branches.get(client.documentId).lastFor(client);
  }

  truthOf(documentId, wrong, members) {
    const branches = this.branches.get(documentId);
    const hubs = [...this.#ended, ...this.hubs];
    branches.check(wrong, {
      members,
      app: this.app,
      documents: this.documents.get(documentId),
      losses: this.#losses(),
      lost: hubs.map(({ lost }) => lost),
      givenUp: hubs.reduce((sum, { givenUp }) => sum + (givenUp.get(documentId) ?? 0), 0),
    });
    branches.judgeHandlers(wrong, this.fates);
    return branches;
  }

  /** How often Redis may have lost what. */
  #losses() {
    const times = (what) =>
      Object.entries(this.faults).reduce((sum, [name, { loses }]) => sum + (loses === what ? this.done[name] : 0), 0);
    return { memories: times('memory'), tails: times('tail') };
  }

  report() {
    const all = [...this.branches.values()];
    const sum = (of) => all.reduce((total, each) => total + of(each), 0);
    return {
      processes: this.counts.processes,
      faults: this.done,
      readyAfterMs: { longest: Math.max(0, ...this.readyAfter) },
      redis: {
        server: this.server,
        published: sum(({ count }) => count),
        lost: sum(({ lostCount }) => lostCount),
        begunAnew: sum(({ epochs }) => epochs - 1),
        branches: sum(({ forks }) => forks),
      },
      app: {
        loads: this.app.loads,
        saves: this.app.saves.length,
        refused: this.app.saves.filter(({ isTaken }) => !isTaken).length,
        conflicts: [...this.app.conflicts.values()].reduce((all, count) => all + count, 0),
      },
    };
  }

  async end() {
    for (const hub of this.hubs ?? []) await hub.end();
    await this.redis?.end();
    await this.#ears?.end();
  }
}
