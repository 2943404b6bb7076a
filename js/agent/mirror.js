'use strict';

const { Audience } = require('./audience.js');
const { History } = require('./history.js');
const { refusal } = require('./messages.js');

/** Silence of a stream that runs elsewhere after which its process is asked for what is missing. */
const QUIET_MS = 2500;

/** Questions in a row that were heard by nobody who answers, after which a process that is silent otherwise, too, is gone. */
const MOST_UNANSWERED = 2;

/** Longest wait for what a process has that is there and does not answer, or that Redis does not reach: then clients come back. */
const LONGEST_WAIT_MS = 10_000;

const TRY_AGAIN_LATER = 1013;

/**
 * A stream that runs in another process, as far as clients of this one follow it: what comes of it is kept and sent as if it ran
 * here. Its chunks are numbered, so what comes twice is left out, and what is missing is asked for.
 */
class Mirror {
  #options;
  #tell;
  #audience;
  /** Whether the history is that of the stream. Before, nobody here has asked for it. */
  #isWhole;
  /** Sockets that have asked, each with its last chunk and since when it waits, until it is known what there is. */
  #wanted = new Map();
  #over = [];
  #isReading = false;
  #isHolding = false;
  /** Whether somebody here wants it to end. */
  #isAborted = false;
  #unanswered = 0;
  /** By socket: when it was told that the stream has begun. */
  #greetedAt = new WeakMap();
  #heardAt = Date.now();
  #onEnd;

  state;
  end;

  /**
   * @param {{ threadId: string, streamId: string, owner: string }} names the process that runs it
   * @param {{ state: string, seq: number, isNew: boolean }} known what is known of it; a new one is followed from its first chunk
   * @param options of createAgentHandler
   * @param {(message: object) => Promise<number | undefined>} hooks.tell tells it to the process that runs it
   * @param {(mirror: Mirror) => void} hooks.onEnd called when it is known to have ended, and when more of it has come after that
   */
  constructor({ threadId, streamId, owner }, { state, seq, isNew }, options, { tell, onEnd }) {
    Object.assign(this, { threadId, streamId, owner, state });
    this.#options = options;
    this.#tell = tell;
    this.#onEnd = onEnd;
    this.#isWhole = isNew;
    this.#startAt(seq);
    this.#audience = new Audience(this, options);
  }

  get started() {
    const { threadId, streamId } = this;
    return JSON.stringify({ type: 'started', threadId, streamId });
  }

  unrecoverable(seq) {
    return this.#refusal('UNRECOVERABLE', seq);
  }

  /** Whether anybody here waits for something of it. */
  get isWanted() {
    return this.#isWhole || this.#wanted.size > 0 || this.#over.length > 0;
  }

  /** Whether what is here is the stream's, as far as it is known. */
  get isWhole() {
    return this.#isWhole;
  }

  /** Whether a client waits until it is known what there is. */
  get isAwaited() {
    return this.#wanted.size > 0;
  }

  /** Whether its process is to be asked for what does not come. */
  get #asks() {
    return this.isAwaited || (this.end === undefined && this.isWanted);
  }

  /** It is decided when it is known what there is: `follow` tells those who ask for more. */
  isRecoverable() {
    return true;
  }

  isFollowedBy(socket) {
    return this.#wanted.has(socket) || this.#audience.isFollowedBy(socket);
  }

  /** Tells a client that the stream has begun, and sends all of it. */
  greet(socket) {
    this.#greetedAt.set(socket, performance.now());
    socket.send(this.started);
    this.follow(socket, 0);
  }

  /** Whether a client that has asked at that time was told so since. */
  hasGreeted(socket, askedAt) {
    return this.#greetedAt.get(socket) > askedAt;
  }

  /** Sends the socket everything after `seq`, or tells it that this is no longer there. */
  follow(socket, seq) {
    if (this.#isWhole && seq <= this.history.seq) return this.#decide(socket, seq);
    this.#audience.unfollow(socket);
    const since = this.#wanted.get(socket)?.since ?? Date.now();
    this.#wanted.set(socket, { seq, since });
    this.#read();
  }

  unfollow(socket) {
    this.#wanted.delete(socket);
    this.#audience.unfollow(socket);
  }

  slow(socket, room) {
    this.#audience.slow(socket, room);
  }

  abort() {
    this.#isAborted = true;
    this.#tell({ kind: 'abort', streamId: this.streamId });
  }

  /** Calls `tell` with its last message, once there is one. */
  whenOver(tell) {
    if (this.end !== undefined) return tell(this.end);
    this.#over.push(tell);
  }

  /** What the list of its process says, which may be newer than what was heard of it. */
  update({ state, seq }) {
    if (this.#isWhole || this.end !== undefined) return;
    this.state = state;
    this.#startAt(seq);
    if (state !== 'running') this.#onEnd(this);
  }

  /** Chunks have come: those that are told to all, or the answer to what this process has asked. */
  take({ seq, frames, isAnswer, isLast }) {
    this.#heard();
    if (!this.#isWhole) {
      if (!isAnswer) return;
      this.#isWhole = true;
      this.#startAt(seq - 1);
    }
    if (seq > this.history.seq + 1) {
      if (!isAnswer) return this.#read();
      // What is between is no longer there: nobody who follows can be given the rest.
      for (const { socket, seq: last } of this.#audience.dismiss()) socket.send(this.unrecoverable(last));
      this.#startAt(seq - 1);
    }
    for (const frame of frames.slice(this.history.seq + 1 - seq)) this.history.push(frame, Buffer.byteLength(frame));
    this.#audience.advance();
    this.history.trim(this.#audience.neededSeq);
    if (this.#audience.isWaitedFor) this.#hold();
    if (isLast) this.#answered();
  }

  /** It has ended, and `seq` is its last chunk. */
  takeEnd({ state, seq, frame }) {
    this.#heard();
    if (this.#isWhole && seq > this.history.seq) return this.#read();
    this.#finish(state, frame);
  }

  /** Its process does not know it, or is gone. */
  lose() {
    this.#isReading = false;
    this.#finish('error', this.#refusal('STREAM_FAILED', this.history.seq));
    this.#answerAll();
  }

  /**
   * Asks its process where nothing was heard of it for a while.
   *
   * @param {boolean} isThere whether that was heard of lately
   * @returns {boolean} whether there is nobody who could answer
   */
  look(isThere) {
    this.#turnAway();
    if (!this.#asks || Date.now() - this.#heardAt < QUIET_MS) return false;
    if (this.#unanswered >= MOST_UNANSWERED && !isThere) return true;
    this.#askAgain();
    return false;
  }

  /** This process was cut off: something may have been missed, and the process that runs it may come back later than this one. */
  catchUp() {
    if (!this.#asks) return;
    this.#unanswered = -1;
    this.#askAgain();
  }

  /** It is forgotten here. Who reads one that has ended reads on. */
  close() {
    if (this.end === undefined) this.#audience.dismiss();
    this.#isWhole = false;
    this.#answerAll();
  }

  #askAgain() {
    // What was asked before may be lost.
    if (this.#isAborted && this.end === undefined) this.abort();
    this.#isReading = false;
    this.#read();
  }

  /** Closes those who have waited for too long, where nobody knows what there is: they come back. */
  #turnAway() {
    const now = Date.now();
    for (const [socket, { since }] of this.#wanted) {
      if (now - since < LONGEST_WAIT_MS) continue;
      this.#wanted.delete(socket);
      socket.close(TRY_AGAIN_LATER, 'Another process does not answer');
    }
  }

  async #read() {
    if (this.#isReading) return;
    this.#isReading = true;
    this.#heardAt = Date.now();
    const after = this.#isWhole ? this.history.seq : 0;
    const reached = await this.#tell({ kind: 'read', streamId: this.streamId, after });
    // While Redis is away nobody is gone.
    if (reached !== undefined) this.#unanswered += 1;
  }

  #heard() {
    this.#heardAt = Date.now();
    this.#unanswered = 0;
  }

  #answered() {
    this.#isReading = false;
    this.#unanswered = 0;
    this.#answerAll();
    if (this.end !== undefined) this.#onEnd(this);
  }

  /** Tells those who wait what there is. */
  #answerAll() {
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    for (const [socket, { seq }] of wanted) this.#decide(socket, seq);
  }

  #decide(socket, seq) {
    if (!this.#isWhole) return socket.send(this.#refusal('UNKNOWN_STREAM'));
    if (seq > this.history.seq || seq + 1 < this.history.first) return socket.send(this.unrecoverable(seq));
    return this.#audience.follow(socket, seq);
  }

  /** Has the producer wait for those who do not keep up here, as it does for those where it is. */
  async #hold() {
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#tell({ kind: 'hold', streamId: this.streamId });
    await this.#audience.room();
    this.#tell({ kind: 'go', streamId: this.streamId });
    this.#isHolding = false;
    this.history.trim(this.#audience.neededSeq);
  }

  #finish(state, end) {
    if (this.end !== undefined) return;
    this.state = state;
    this.end = end;
    this.#audience.advance();
    for (const tell of this.#over.splice(0)) tell(end);
    this.#onEnd(this);
  }

  #startAt(seq) {
    this.history = new History(this.#options.maxHistoryBytes, this.#options.maxHistoryChunks);
    this.history.seq = seq;
  }

  #refusal(code, seq) {
    const { threadId, streamId } = this;
    return refusal(code, { threadId, streamId, seq });
  }
}

module.exports = { Mirror };
