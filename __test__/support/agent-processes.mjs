// Processes that share a Redis and serve agents, whose answers a test writes piece by piece; and clients of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { until } from './processes.mjs';
import { startHub } from './redis.mjs';

const PROGRAM = `
  import http from 'node:http';
  import { registerHandler } from '@captify-io/hub';
  import { createAgentHandler } from '@captify-io/hub/agent';
  import { createHub } from '@captify-io/hub/server';
  const { agent, paced, ...options } = JSON.parse(process.argv[1]);
  const streams = new Map();
  const stream = (id) => {
    if (!streams.has(id)) streams.set(id, { chunks: [], requests: 0, aborted: false, taken: 0, wake: () => {} });
    return streams.get(id);
  };
  async function* count(signal) {
    for (let n = 1; n <= paced.chunks && !signal.aborted; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, paced.everyMs));
      yield n;
    }
  }
  async function* answer(id, signal) {
    if (paced) return yield* count(signal);
    const of = stream(id);
    signal.addEventListener('abort', () => {
      of.aborted = true;
      of.wake();
    });
    for (;;) {
      while (of.chunks.length > 0) {
        of.taken += 1;
        yield of.chunks.shift();
      }
      if (of.isOver || of.aborted) return;
      if (of.fails) throw new Error('as it was told to');
      await new Promise((wake) => (of.wake = wake));
    }
  }
  registerHandler(
    createAgentHandler({
      rollUpMs: 0,
      onError() {},
      ...agent,
      onRequest: ({ streamId, signal }) => {
        stream(streamId).requests += 1;
        return answer(streamId, signal);
      },
    }),
  );
  const hub = createHub(options);
  const server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
  // As a process that is replaced ends.
  process.on('SIGTERM', () => hub.close({ timeoutMs: 1000 }).then(() => process.exit()));
  process.on('message', ({ id, chunks, repeat, busyForMs, ...changes }) => {
    const of = stream(id);
    if (busyForMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyForMs);
    if (chunks) of.chunks.push(...chunks);
    if (repeat) for (let n = 0; n < repeat.times; n += 1) of.chunks.push(repeat.chunk);
    Object.assign(of, changes);
    of.wake();
    const { requests, aborted, taken } = of;
    process.send({ requests, aborted, taken, isReady: hub.stats().redis.ready });
  });
`;

/**
 * Starts one: `ask({ id, chunks, … })` has a stream go on, and answers how it stands.
 *
 * @param {{ chunks: number, everyMs: number }} [paced] where answers go on by themselves: what they count up to, and how fast
 */
export function startAgents(t, url, agent = {}, paced = undefined) {
  return startHub(t, url, { agent, paced }, PROGRAM);
}

/** A client of a thread, which must be given the chunks of each stream in order, each once. */
export class Watcher {
  messages = [];
  /** Stream id to its chunks. */
  chunks = new Map();

  static async open(t, { base }, threadId) {
    const watcher = new Watcher();
    watcher.ws = new WebSocket(`${base}/ws/agent?threadId=${threadId}`);
    t.after(() => watcher.ws.terminate());
    watcher.ws.on('message', (raw) => watcher.#take(JSON.parse(raw)));
    watcher.ws.on('error', () => {});
    await once(watcher.ws, 'message');
    assert.equal(watcher.messages[0].type, 'connected');
    return watcher;
  }

  #take(message) {
    this.messages.push(message);
    const { type, streamId, seq, chunk } = message;
    if (type !== 'chunk') return;
    if (!this.chunks.has(streamId)) this.chunks.set(streamId, []);
    const chunks = this.chunks.get(streamId);
    chunks.push(chunk);
    this.last ??= new Map();
    assert.equal(seq, (this.last.get(streamId) ?? seq - 1) + 1, 'a gap, or twice');
    this.last.set(streamId, seq);
  }

  /** What it was told when it connected. */
  get streams() {
    return this.messages[0].streams;
  }

  say(message) {
    this.ws.send(JSON.stringify(message));
  }

  of(streamId) {
    return this.chunks.get(streamId) ?? [];
  }

  /** Waits for so many chunks of a stream. */
  async has(streamId, count) {
    await until(`${count} chunks of ${streamId}`, () => this.of(streamId).length >= count, { everyMs: 2 });
  }

  /** Waits for a message of a stream; answers it. */
  async told(type, streamId) {
    const find = () => this.messages.find((message) => message.type === type && message.streamId === streamId);
    await until(`${type} of ${streamId}`, () => find() !== undefined, { everyMs: 5 });
    return find();
  }
}

/** A client that reads all streams of a thread, and goes on with them wherever it comes to. */
export class Wanderer {
  chunks = new Map();
  #ends = new Set();
  #watcher;
  #moving;

  constructor(t, { processes, threadId, ids, pick }) {
    Object.assign(this, { t, processes, threadId, ids, pick });
  }

  seq(streamId) {
    return this.chunks.get(streamId)?.length ?? 0;
  }

  isOver(streamId) {
    return this.#ends.has(streamId);
  }

  /** Is cut off, and comes to another process. */
  move() {
    this.#moving ??= this.#move().finally(() => (this.#moving = undefined));
    return this.#moving;
  }

  async #move() {
    this.#watcher?.ws.terminate();
    for (const event of ['message', 'close']) this.#watcher?.ws.removeAllListeners(event);
    const watcher = await Watcher.open(this.t, this.pick(this.processes), this.threadId);
    this.#watcher = watcher;
    watcher.ws.on('message', (raw) => this.#take(JSON.parse(raw)));
    // It is told so where nobody can be asked now.
    watcher.ws.on('close', (code) => code === 1013 && this.move());
    for (const streamId of this.ids) watcher.say({ type: 'recover', streamId, seq: this.seq(streamId) });
  }

  #take({ type, streamId, seq, chunk, code }) {
    if (type === 'error') throw new Error(`${streamId}: ${code}`);
    if (type === 'done') this.#ends.add(streamId);
    if (type !== 'chunk') return;
    assert.equal(seq, this.seq(streamId) + 1, `${streamId}: a gap, or twice`);
    if (!this.chunks.has(streamId)) this.chunks.set(streamId, []);
    this.chunks.get(streamId).push(chunk);
  }
}
