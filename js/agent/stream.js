'use strict';

const { attempt, describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { Follower } = require('./follower.js');
const { Front } = require('./front.js');
const { History } = require('./history.js');
const { refusal } = require('./messages.js');
const { RollUp } = require('./roll-up.js');
const { sourceOf } = require('./source.js');

/** A producer that never waits for anything lets the rest of the process run after so many chunks. */
const CHUNKS_A_TURN = 64;

/** Bytes of one character in JSON: `\u0001`. */
const LONGEST_CHARACTER = 6;

// Through globalThis: Next warns of a bare setImmediate where an edge function imports this package.
const nextTurn = () => new Promise((resolve) => globalThis.setImmediate(resolve));

/** `running` until the client has been told the end; the producer may take a moment longer to stop. */
const State = Object.freeze({ RUNNING: 'running', DONE: 'done', FAILED: 'error' });

/**
 * One answer on its way: reads what onRequest returned, numbers it, keeps it for those who come back, and has it sent
 * to all who follow it.
 */
class AgentStream {
  #options;
  #onEnd;
  #onRelease;
  #followers = new Map();
  /** Of these, those who are sent to by themselves. */
  #behind = new Set();
  #front;
  #abort = new AbortController();
  #rollUp;
  #source;
  #timeout;
  #stopping;
  #isReleased = false;
  #chunkPrefix;
  /** The producer did not stop when it was asked to. */
  #isGivenUp = false;

  state = State.RUNNING;
  /** The last message of the stream, `done` or `error`, once there is one. */
  end;

  /**
   * @param {{ threadId: string, streamId: string, userId: string | undefined }} names
   * @param options of createAgentHandler
   * @param {{ onEnd: () => void, onRelease: () => void }} hooks called once each: when its last message is
   *   known, and when the producer has stopped or was given up
   */
  constructor({ threadId, streamId, userId }, options, { onEnd, onRelease }) {
    Object.assign(this, { threadId, streamId, userId });
    this.#options = options;
    this.#onEnd = onEnd;
    this.#onRelease = onRelease;
    this.history = new History(options.maxHistoryBytes, options.maxHistoryChunks);
    this.#front = new Front(this, options.path, options.maxBufferedBytes);
    this.#chunkPrefix = `${this.#head('chunk')},"seq":`;
    // Half of what is left beside the names is for what a chunk has beside its text.
    const room = (options.maxChunkBytes - Buffer.byteLength(this.#chunkPrefix)) / 2;
    this.#rollUp = new RollUp(options.rollUpMs, room / LONGEST_CHARACTER, (chunk) => this.#emit(chunk));
  }

  get started() {
    return `${this.#head('started')}}`;
  }

  unrecoverable(seq) {
    return refusal('UNRECOVERABLE', { threadId: this.threadId, streamId: this.streamId, seq });
  }

  /** True if what a client with this `seq` misses is still there. */
  isRecoverable(seq) {
    return seq <= this.history.seq && seq + 1 >= this.history.first;
  }

  isFollowedBy(socket) {
    return this.#followers.get(socket)?.isOver === false;
  }

  /** Sends the socket everything after `seq`, what is there and what is to come. */
  follow(socket, seq) {
    // Who was waited for in vain is not waited for again because it asks anew.
    const isSlow = this.#followers.get(socket)?.isSlow ?? false;
    this.unfollow(socket);
    const follower = new Follower(socket, this, this.#front, seq, this.#options.maxBufferedBytes);
    follower.isSlow = isSlow;
    this.#followers.set(socket, follower);
    this.#behind.add(follower);
    follower.advance();
    if (follower.isAtFront) this.#behind.delete(follower);
  }

  unfollow(socket) {
    const follower = this.#followers.get(socket);
    if (!follower) return;
    follower.stop();
    this.#followers.delete(socket);
    this.#behind.delete(follower);
  }

  /** Too much waits for a socket that is in `room`. */
  slow(socket, room) {
    const follower = this.#followers.get(socket);
    if (!follower?.isAtFront || !this.#front.is(room)) return;
    this.#behind.add(follower);
    follower.fallBehind();
  }

  /** Asks for the answer and sends it. Never rejects. */
  async run(data) {
    const { threadId, streamId, userId } = this;
    const { onRequest, maxStreamMs } = this.#options;
    const late = () => this.#fail('STREAM_TIMEOUT', new Error(`the stream was not done after ${maxStreamMs} ms`));
    this.#timeout = setTimeout(late, maxStreamMs);
    this.#timeout.unref?.();
    try {
      const { signal } = this.#abort;
      this.#source = sourceOf(await onRequest({ threadId, data, signal, userId, streamId }));
      await this.#read();
      this.#release();
      this.#finish(State.DONE, this.#ending('done'));
    } catch (error) {
      this.#release();
      this.#fail('STREAM_FAILED', error);
    }
  }

  /** Ends the stream for those who follow it, and asks the producer to stop. */
  abort() {
    this.#finish(State.DONE, this.#ending('done', ',"aborted":true'));
  }

  async #read() {
    for (let count = 1; ; count += 1) {
      if (this.#isGivenUp) return this.#letGo();
      const { done, value } = await this.#source.next();
      if (done) return;
      if (count % CHUNKS_A_TURN === 0) await nextTurn();
      // After its end a stream is read on for a while: the producer's own clean-up may hang on being read.
      if (this.end !== undefined) continue;
      this.#rollUp.push(value);
      if (this.#isHeldUp) await this.#room();
    }
  }

  /** Numbers a chunk, keeps it and sends it. A chunk that cannot be sent ends the stream. */
  #emit(chunk) {
    if (this.end !== undefined) return;
    let frame;
    try {
      const json = JSON.stringify(chunk);
      if (json === undefined) throw new TypeError(`a chunk of onRequest has no JSON: ${String(chunk)}`);
      frame = `${this.#chunkPrefix}${this.history.seq + 1},"chunk":${json}}`;
    } catch (error) {
      this.#fail('STREAM_FAILED', error);
      return;
    }
    const bytes = Buffer.byteLength(frame);
    if (bytes > this.#options.maxChunkBytes) {
      this.#fail('CHUNK_TOO_LARGE', new RangeError(`a chunk of ${bytes} bytes is over maxChunkBytes`));
      return;
    }
    this.history.push(frame, bytes);
    this.#advance();
    this.#trim();
  }

  #advance() {
    this.#front.advance();
    for (const follower of this.#behind) {
      follower.advance();
      if (follower.isAtFront) this.#behind.delete(follower);
    }
  }

  /** What a client that is waited for does not have yet stays, whatever the bounds. */
  #trim() {
    let needed = this.#front.isOver ? Infinity : this.#front.seq + 1;
    for (const { seq, isSlow, isOver } of this.#behind) {
      if (!isSlow && !isOver) needed = Math.min(needed, seq + 1);
    }
    this.history.trim(needed);
  }

  get #isHeldUp() {
    return this.#front.waiting !== undefined || this.#behind.size > 0;
  }

  /** Waits for those who cannot keep up, for as long as that is fair to the others. */
  async #room() {
    const behind = [...this.#behind].filter(({ waiting, isSlow }) => waiting && !isSlow);
    const waiting = behind.map((follower) => follower.waiting);
    // The front never is slow: what it waits for are the hub's own threads.
    if (this.#front.waiting) waiting.push(this.#front.waiting);
    if (waiting.length === 0) return;
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, this.#options.slowWatcherMs)));
    await Promise.race([Promise.all(waiting), late]);
    clearTimeout(timer);
    for (const [index, follower] of behind.entries()) {
      if (follower.waiting === waiting[index]) follower.isSlow = true;
    }
    this.#trim();
  }

  #fail(code, error) {
    // A producer that was asked to stop often says so by throwing.
    if (this.end === undefined || error?.name !== 'AbortError') this.#report(error);
    const { threadId, streamId, history } = this;
    this.#finish(State.FAILED, () => refusal(code, { threadId, streamId, seq: history.seq }));
  }

  #report(error) {
    const { threadId, streamId, userId } = this;
    attempt(
      () => this.#options.onError(error, { threadId, streamId, userId }),
      (thrown) => log('error', `agent: onError threw: ${describe(thrown)}`),
    );
  }

  /** @param {() => string} ending asked for once the last chunk has its number */
  #finish(state, ending) {
    if (this.end !== undefined) return;
    this.#rollUp.flush();
    // The flush may have ended it, with a chunk that is too large.
    if (this.end !== undefined) return;
    this.#rollUp.stop();
    clearTimeout(this.#timeout);
    this.state = state;
    this.end = ending();
    this.#advance();
    this.#onEnd();
    if (!this.#isReleased) this.#stopProducer();
  }

  #stopProducer() {
    this.#stopping = setTimeout(() => {
      this.#isGivenUp = true;
      this.#letGo();
      this.#release();
    }, this.#options.stopMs);
    this.#stopping.unref?.();
    this.#abort.abort();
  }

  /** Not waited for: a generator that hangs in an await answers when that settles, if ever. */
  #letGo() {
    const ignore = () => {};
    try {
      Promise.resolve(this.#source?.return?.()).catch(ignore);
    } catch {
      // A source of the app's own making may throw at once.
    }
  }

  #release() {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearTimeout(this.#stopping);
    this.#onRelease();
  }

  #head(type) {
    return `{"type":"${type}","threadId":${JSON.stringify(this.threadId)},"streamId":${JSON.stringify(this.streamId)}`;
  }

  #ending(type, extra = '') {
    return () => `${this.#head(type)},"seq":${this.history.seq}${extra}}`;
  }
}

module.exports = { AgentStream };
