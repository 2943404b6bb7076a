// Streams of agents while processes are killed, stopped, replaced and cut off from Redis, by a seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { startAgents } from './support/agent-processes.mjs';
import { randomOf } from './support/agent-server.mjs';
import { freshThread } from './support/fake-socket.mjs';
import { progress, until } from './support/processes.mjs';
import { startRedis } from './support/redis.mjs';
import { SilentProxy } from './support/silent-proxy.mjs';

const SEED = Number(process.env.AGENTS_SEED ?? 12);
const SECONDS = Number(process.env.AGENTS_SECONDS ?? 12);
const PACE = { chunks: 100, everyMs: 20 };

/** A process that is started again when it has ended, each time by its own way to Redis. */
class Place {
  static async start(t, redis, number) {
    const proxy = await SilentProxy.start(redis.port);
    t.after(() => proxy.close());
    const place = Object.assign(new Place(), { t, proxy, number });
    await place.begin();
    return place;
  }

  async begin() {
    const agent = { keepMs: 60_000, maxStreamsPerThread: 100, maxKeptStreamsPerThread: 1000 };
    this.process = await startAgents(this.t, `redis://127.0.0.1:${this.proxy.port}`, agent, PACE);
    this.isThere = true;
  }

  async end(signal) {
    this.isThere = false;
    await this.process.service.stop(signal);
    await this.begin();
  }
}

/** Reads every stream of the thread that it hears of, and comes back wherever it is let. */
class Reader {
  /** By stream: `{ seq, end }`, the end `done` or the code of an error. */
  streams = new Map();
  isOver = false;

  constructor(t, threadId, pick) {
    Object.assign(this, { threadId, pick });
    t.after(() => {
      this.isOver = true;
      this.ws?.terminate();
    });
    this.#connect();
  }

  #connect() {
    if (this.isOver) return;
    const place = this.pick();
    if (!place) return setTimeout(() => this.#connect(), 100);
    const ws = new WebSocket(`${place.process.base}/ws/agent?threadId=${this.threadId}`);
    this.ws = ws;
    this.place = place;
    this.connectedAt = undefined;
    /** Streams that it has asked for, or heard the beginning of, over this connection. */
    this.asked = new Set();
    ws.on('message', (raw) => this.#take(JSON.parse(raw)));
    ws.on('error', () => {});
    ws.on('close', () => setTimeout(() => this.#connect(), 50));
  }

  move() {
    this.ws.terminate();
  }

  ask(streamId) {
    this.asked.add(streamId);
    this.streams.set(streamId, { seq: 0, end: undefined });
    this.ws.send(JSON.stringify({ type: 'stream', streamId }));
  }

  #recover(streamId, stream) {
    this.asked.add(streamId);
    this.ws.send(JSON.stringify({ type: 'recover', streamId, seq: stream.seq }));
  }

  #take({ type, streamId, seq, chunk, code, streams }) {
    if (type === 'connected') {
      this.connectedAt = Date.now();
      for (const each of streams) {
        if (!this.streams.has(each.streamId)) this.streams.set(each.streamId, { seq: 0 });
      }
      for (const [id, stream] of this.streams) {
        if (stream.end === undefined && !this.asked.has(id)) this.#recover(id, stream);
      }
      return;
    }
    const stream = this.streams.get(streamId) ?? { seq: 0 };
    this.streams.set(streamId, stream);
    const about = `${streamId} at place ${this.place.number}`;
    if (type === 'started') {
      this.asked.add(streamId);
      // One that has failed may be asked for anew, under the same id.
      if (stream.end !== undefined && stream.end !== 'done') Object.assign(stream, { seq: 0, end: undefined });
    }
    if (type === 'chunk') {
      this.fault ??= stream.end === undefined ? undefined : `${about}: ${seq} after ${stream.end}`;
      this.fault ??= seq === stream.seq + 1 ? undefined : `${about}: ${seq} after ${stream.seq}`;
      this.fault ??= chunk === seq ? undefined : `${about}: ${chunk} as ${seq}`;
      stream.seq = seq;
    }
    if (type === 'done') {
      this.fault ??= stream.seq === PACE.chunks ? undefined : `${about}: done at ${stream.seq}`;
      stream.end = 'done';
    }
    if (type === 'error') stream.end = code;
  }

  /** Streams that it is owed an answer about. */
  get open() {
    return [...this.streams].filter(([, { end }]) => end === undefined);
  }
}

test(`whatever happens to processes, each stream ends for everybody, and nobody is given a gap or anything twice (seed ${SEED})`, async (t) => {
  const redis = await startRedis(t);
  const places = await Promise.all([0, 1, 2].map((number) => Place.start(t, redis, number)));
  const threadId = freshThread();
  const random = randomOf(SEED);
  const pickOf = (of) => of[Math.floor(random() * of.length)];
  const pick = () => pickOf(places.filter(({ isThere }) => isThere));
  const readers = Array.from({ length: 9 }, () => new Reader(t, threadId, pick));
  const faults = {
    kill: (place) => place.end('SIGKILL'),
    replace: (place) => place.end('SIGTERM'),
    async stop({ process: { service } }) {
      service.child.kill('SIGSTOP');
      await delay(500 + random() * 3000);
      service.child.kill('SIGCONT');
    },
    async silence({ proxy }) {
      const way = pickOf([{ up: true }, { down: true }, { up: true, down: true }]);
      proxy.silence(way);
      await delay(500 + random() * 2500);
      proxy.silence();
    },
    async cut({ proxy }) {
      proxy.cut();
    },
    async move() {
      for (const reader of readers) if (random() < 0.3) reader.move();
    },
  };
  const done = {};
  const over = performance.now() + SECONDS * 1000;
  let number = 0;
  const asking = (async () => {
    while (performance.now() < over) {
      const reader = pickOf(readers.filter(({ ws, connectedAt }) => ws?.readyState === 1 && connectedAt));
      if (reader) {
        const id = `s${(number += 1)}`;
        reader.ask(id);
      }
      await delay(150);
    }
  })();
  // Each place has one fault at a time.
  const breaking = places.map(async (place) => {
    while (performance.now() < over) {
      await delay(random() * 3000);
      const fault = pickOf(Object.keys(faults));
      done[fault] = (done[fault] ?? 0) + 1;
      await faults[fault](place);
    }
  });
  await Promise.all([asking, ...breaking]);
  const begun = performance.now();
  await until(
    () => `the end of ${JSON.stringify(readers.map(({ open, place }) => [place.number, ...open]))}`,
    () => readers.every(({ open, ws }) => open.length === 0 && ws.readyState === 1),
    { timeoutMs: 30_000 },
  );
  const endMs = Math.round(performance.now() - begun);
  const ends = {};
  for (const reader of readers) {
    for (const { end } of reader.streams.values()) ends[end] = (ends[end] ?? 0) + 1;
  }
  progress(`${number} streams, ${endMs} ms to the end: ${JSON.stringify({ done, ends })}`);
  assert.deepEqual(readers.map(({ fault }) => fault).filter(Boolean), []);
  assert.ok(ends.done > 0);
  assert.ok(endMs < 20_000, `${endMs} ms`);
  // A process that is still there has what it ran, and nobody was told otherwise.
  for (let last = number; last > Math.max(0, number - 20); last -= 1) {
    const id = `s${last}`;
    const asked = await Promise.all(places.map(({ process }) => process.ask({ id })));
    if (asked.every(({ requests }) => requests === 0)) continue;
    for (const { streams } of readers) assert.equal(streams.get(id)?.end ?? 'done', 'done', id);
  }
});
