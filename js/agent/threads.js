'use strict';

const { KEY } = require('../shared/agent-streams.js');
const { Elsewhere } = require('./elsewhere.js');
const { AgentStream } = require('./stream.js');

/** Shortest time between two questions whether a thread has clients in other processes. */
const SHORTEST_LOOK_MS = 5000;

/**
 * The connections of one thread and its streams: those that run, and those that ended lately and may be asked for by
 * somebody who was away.
 */
class AgentThread {
  #threads;
  #grace;
  #graceMs;

  /** By socket: since when it is there, and whether it was told all that there was then. */
  connections = new Map();
  /** Clients who wait for what other processes have. */
  arriving = 0;
  /** Stream id to stream, the oldest first. */
  streams = new Map();

  constructor(threads, threadId, options) {
    this.#threads = threads;
    this.threadId = threadId;
    this.beAmong(options);
  }

  /** Makes it known to other processes, where there are any and it is not: also to those that the hub of another time had. */
  beAmong(options) {
    /** The thread in other processes; undefined where there are none. */
    this.elsewhere ??= Elsewhere.of(this, options);
  }

  /** Counts a stream that ended elsewhere, and has `drop` called once it is to be forgotten here. */
  keep(mirror, options, drop) {
    this.#threads.keepCopy(this, mirror, options, drop);
  }

  /** It is forgotten. */
  unkeep(mirror) {
    this.#threads.unkeep(mirror);
  }

  /**
   * Waits until it is known what other processes have of it, for one who then joins or leaves; only where there are any.
   *
   * @returns whether all of it is known
   */
  async arrive() {
    this.arriving += 1;
    const seen = await this.elsewhere.lookPatiently();
    this.arriving -= 1;
    return seen?.isSure ?? false;
  }

  /** What other processes have was found out, by a question of this time. */
  knowsSince(askedAt) {
    for (const connection of this.connections.values()) if (connection.joinedAt <= askedAt) connection.isSure = true;
  }

  /** Whether a client was not told all that there is. */
  get hasUnsure() {
    return [...this.connections.values()].some(({ isSure }) => !isSure);
  }

  /** What a client has asked waits for other processes: until then the thread is needed, also where the client has gone. */
  async during(asked) {
    this.arriving += 1;
    try {
      return await asked;
    } finally {
      this.arriving -= 1;
      this.rest();
    }
  }

  /** Whether anybody here may want to know of streams that run elsewhere. */
  get isWatched() {
    return this.connections.size > 0 || this.arriving > 0;
  }

  /** What a client that connects is told. */
  get connected() {
    const streams = [];
    for (const { streamId, state, history } of this.streams.values()) {
      streams.push({ streamId, state, seq: history.seq });
    }
    return JSON.stringify({ type: 'connected', threadId: this.threadId, streams });
  }

  /** @param isSure whether it is known what other processes have */
  join(socket, isSure) {
    clearTimeout(this.#grace);
    this.#grace = undefined;
    this.connections.set(socket, { joinedAt: performance.now(), isSure });
    if (!isSure) this.elsewhere?.lookAgain();
  }

  /** Too much waits for a connection that is in `room`. */
  slow(socket, room) {
    for (const stream of this.streams.values()) stream.slow(socket, room);
  }

  /** @param {number | false} graceMs how long the streams go on when this was the last connection */
  leave(socket, graceMs) {
    this.#graceMs = graceMs;
    this.connections.delete(socket);
    for (const stream of this.streams.values()) stream.unfollow(socket);
    this.rest();
    this.othersLeft();
  }

  /** There may be nobody any more who needs it. */
  rest() {
    if (!this.isWatched) this.elsewhere?.left();
    this.#threads.forgetIfIdle(this);
  }

  /** There may be nobody left, here or elsewhere: then its streams end, after a while. */
  othersLeft() {
    if (this.connections.size > 0 || this.#running().length === 0) return;
    // Undefined where no client has left.
    if (this.#graceMs === false || this.#graceMs === undefined) return;
    this.#abortAfter(this.#graceMs, false);
  }

  #abortAfter(ms, wasWatched) {
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => this.#abortUnwatched(wasWatched), ms);
    this.#grace.unref?.();
  }

  async #abortUnwatched(wasWatched) {
    if (this.elsewhere) {
      const grace = this.#grace;
      // While Redis is away nobody knows, and nothing ends for that.
      const seen = await this.elsewhere.look();
      // Nor does anybody know what a process has that is too busy to answer.
      const isWatched = !seen?.isComplete || [...seen.watchers.values()].some((watchers) => watchers > 0);
      // Somebody has come, or left, meanwhile.
      if (this.#grace !== grace || this.connections.size > 0) return;
      if (isWatched) return this.#abortAfter(Math.max(this.#graceMs, SHORTEST_LOOK_MS), true);
      // Those have gone without a word, and may come back.
      if (wasWatched) return this.#abortAfter(this.#graceMs, false);
    }
    for (const stream of this.#running()) stream.abort();
  }

  /** Runs a new stream, which everybody connected follows from its first chunk. */
  start({ streamId, userId, data }, options) {
    const { threadId } = this;
    const threads = this.#threads;
    const stream = new AgentStream({ threadId, streamId, userId }, options, {
      onEnd: () => threads.keep(this, stream, options),
      onRelease: () => threads.release(this),
    });
    this.streams.set(streamId, stream);
    threads.count(this);
    this.elsewhere?.announce(stream);
    for (const socket of this.connections.keys()) {
      socket.send(stream.started);
      stream.follow(socket, 0);
    }
    // Whoever has asked may have gone while other processes were asked.
    this.othersLeft();
    stream.run(data);
  }

  #running() {
    return [...this.streams.values()].filter(({ end, owner }) => end === undefined && owner === undefined);
  }
}

/** All threads of one handler. Holds nothing of a thread nobody can come back to. */
class AgentThreads {
  #threads = new Map();
  #producers = new Map();
  /** Ended streams that can still be asked for, the oldest first, each with its timer, what it counts and how it is forgotten. */
  #kept = new Map();
  /** The same of what other processes have run: they have the originals. */
  #copies = new Map();
  #keptBytes = 0;
  #running = 0;
  /** Streams that have ended, by how. */
  ended = { done: 0, error: 0 };

  /** Threads that are remembered, for tests and logs. */
  get size() {
    return this.#threads.size;
  }

  /** Streams whose producers have not stopped, nor were given up. */
  get running() {
    return this.#running;
  }

  open(threadId, options) {
    const thread = this.#threads.get(threadId) ?? new AgentThread(this, threadId, options);
    this.#threads.set(threadId, thread);
    thread.beAmong(options);
    return thread;
  }

  /** Whether one more stream may run; a producer counts until it has stopped or was given up. */
  hasRoom(thread, { maxStreams, maxStreamsPerThread }) {
    return this.#running < maxStreams && (this.#producers.get(thread) ?? 0) < maxStreamsPerThread;
  }

  count(thread) {
    this.#running += 1;
    this.#producers.set(thread, (this.#producers.get(thread) ?? 0) + 1);
  }

  release(thread) {
    this.#running -= 1;
    const left = this.#producers.get(thread) - 1;
    if (left > 0) this.#producers.set(thread, left);
    else this.#producers.delete(thread);
  }

  /** Keeps an ended stream for a while, and drops older ones where there are too many. */
  keep(thread, stream, options) {
    this.ended[stream.state] += 1;
    this.#hold(this.#kept, stream, options, () => this.#forget(thread, stream));
    let ended = [...thread.streams.values()].filter((each) => this.#kept.has(each));
    while (ended.length > options.maxKeptStreamsPerThread) this.#forget(thread, ended.shift());
    this.#shrink(options);
  }

  /** The same with one that another process has run, also where more of it has come since. */
  keepCopy(thread, mirror, options, drop) {
    this.#hold(this.#copies, mirror, options, drop);
    this.#shrink(options);
  }

  #hold(kept, stream, { keepMs }, forget) {
    const before = kept.get(stream);
    const timer = before?.timer ?? setTimeout(forget, keepMs);
    timer.unref?.();
    // What it has now: its history may still shrink, when the last one who was waited for has got it.
    const { bytes } = stream.history;
    kept.set(stream, { timer, bytes, forget });
    this.#keptBytes += bytes - (before?.bytes ?? 0);
  }

  /** Copies go first: of them there is another one. */
  #shrink({ maxKeptBytes }) {
    for (const kept of [this.#copies, this.#kept]) {
      for (const [stream, { bytes, forget }] of kept) {
        if (this.#keptBytes <= maxKeptBytes) return;
        if (bytes > 0 && !stream.isAwaited) forget();
      }
    }
  }

  /** A stream counts no more. */
  unkeep(stream) {
    for (const kept of [this.#copies, this.#kept]) {
      const { timer, bytes } = kept.get(stream) ?? { bytes: 0 };
      clearTimeout(timer);
      this.#keptBytes -= bytes;
      kept.delete(stream);
    }
  }

  forgetIfIdle(thread) {
    if (thread.isWatched || thread.streams.size > 0) return;
    if (this.#threads.delete(thread.threadId)) thread.elsewhere?.close();
  }

  #forget(thread, stream) {
    this.unkeep(stream);
    thread.streams.delete(stream.streamId);
    thread.elsewhere?.release(stream.streamId);
    this.forgetIfIdle(thread);
  }
}

/**
 * What the handler at `path` knows of its threads. It is kept in globalThis, not in the handler: in development an
 * edited module makes a new handler and has no moment in which to hand anything over, while clients stay connected and
 * streams run on. Those streams keep the options and the code they were started with.
 *
 * @returns {{ threads: AgentThreads, threadOf: WeakMap<object, AgentThread> }}
 */
function stateOf(path) {
  if (!globalThis[KEY]) Object.defineProperty(globalThis, KEY, { value: new Map() });
  const states = globalThis[KEY];
  if (!states.has(path)) states.set(path, { threads: new AgentThreads(), threadOf: new WeakMap() });
  return states.get(path);
}

module.exports = { stateOf };
