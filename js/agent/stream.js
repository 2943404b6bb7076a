'use strict';

const { attempt, describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { Audience } = require('./audience.js');
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
  #audience;
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
  beganAt = performance.now();
  /** The last message of the stream, `done` or `error`, once there is one. */
  end;
  /** Tells other processes; undefined where there are none. */
  relay;

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
    this.#audience = new Audience(this, options);
    this.#chunkPrefix = `${this.#head('chunk')},"seq":`;
    // Half of what is left beside the names is for what a chunk has beside its text.
    const room = (options.maxChunkBytes - Buffer.byteLength(this.#chunkPrefix)) / 2;
    this.#rollUp = new RollUp(options.rollUpMs, room / LONGEST_CHARACTER, (chunk) => this.#emit(chunk));
  }

  get started() {
    return `${this.#head('started')}}`;
  }

  /** Its end as other processes are told of it; undefined before. */
  get ending() {
    const { streamId, state, end, history } = this;
    return end === undefined ? undefined : { kind: 'end', streamId, state, seq: history.seq, frame: end };
  }

  unrecoverable(seq) {
    return refusal('UNRECOVERABLE', { threadId: this.threadId, streamId: this.streamId, seq });
  }

  /** True if what a client with this `seq` misses is still there. */
  isRecoverable(seq) {
    return seq <= this.history.seq && seq + 1 >= this.history.first;
  }

  isFollowedBy(socket) {
    return this.#audience.isFollowedBy(socket);
  }

  /** Whether a client that has asked at that time was sent all of it since. */
  hasGreeted(_socket, askedAt) {
    return this.beganAt > askedAt;
  }

  /** Sends the socket everything after `seq`, what is there and what is to come. */
  follow(socket, seq) {
    this.#audience.follow(socket, seq);
  }

  unfollow(socket) {
    this.#audience.unfollow(socket);
  }

  /** Too much waits for a socket that is in `room`. */
  slow(socket, room) {
    this.#audience.slow(socket, room);
  }

  /** Calls `tell` with its last message, once there is one. */
  whenOver(tell) {
    tell(this.end);
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
      if (this.#audience.isHeldUp || this.relay?.waiting) await this.#room();
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
    this.#audience.advance();
    this.relay?.advance();
  }

  /** What a client that is waited for does not have yet stays, whatever the bounds. */
  #trim() {
    this.history.trim(Math.min(this.#audience.neededSeq, this.relay?.neededSeq ?? Infinity));
  }

  /** Waits for those who cannot keep up. */
  async #room() {
    if (!(await this.#audience.room(this.relay?.waiting))) this.relay?.giveUp();
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
