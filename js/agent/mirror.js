'use strict';

const { Audience } = require('./audience.js');
const { History } = require('./history.js');
const { refusal } = require('./messages.js');

/** Silence of a stream that runs elsewhere after which its process is asked for what is missing. */
const QUIET_MS = 2500;

/** Questions in a row that were heard by nobody who answers, after which a process that is silent otherwise, too, is gone. */
const MOST_UNANSWERED = 2;

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
  /** Sockets that have asked, each with its last chunk, until it is known what there is. */
  #wanted = new Map();
  #over = [];
  #isReading = false;
  #isHolding = false;
  /** Whether somebody here wants it to end. */
  #isAborted = false;
  #unanswered = 0;
  #heardAt = Date.now();
  #endedAt;

  state;
  end;

  /**
   * @param {{ threadId: string, streamId: string, owner: string }} names the process that runs it
   * @param {{ state: string, seq: number, isNew: boolean }} known what is known of it; a new one is followed from its first chunk
   * @param options of createAgentHandler
   * @param {(message: object) => Promise<number | undefined>} tell tells it to the process that runs it
   */
  constructor({ threadId, streamId, owner }, { state, seq, isNew }, options, tell) {
    Object.assign(this, { threadId, streamId, owner, state });
    this.#options = options;
    this.#tell = tell;
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

  /** Whether it has ended so long ago that nobody can come back to it. */
  get isOver() {
    return this.end !== undefined && Date.now() - this.#endedAt > this.#options.keepMs;
  }

  /** It is decided when it is known what there is: `follow` tells those who ask for more. */
  isRecoverable() {
    return true;
  }

  isFollowedBy(socket) {
    return this.#wanted.has(socket) || this.#audience.isFollowedBy(socket);
  }

  /** Sends the socket everything after `seq`, or tells it that this is no longer there. */
  follow(socket, seq) {
    if (this.#isWhole && seq <= this.history.seq) return this.#decide(socket, seq);
    this.#audience.unfollow(socket);
    this.#wanted.set(socket, seq);
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
    for (const socket of this.#wanted.keys()) socket.send(this.#refusal('UNKNOWN_STREAM'));
    this.#wanted.clear();
    this.#finish('error', this.#refusal('STREAM_FAILED', this.history.seq));
  }

  /** Asks its process where nothing was heard of it for a while; loses it where there is none. */
  look(isThere) {
    if (this.end !== undefined || !this.isWanted || Date.now() - this.#heardAt < QUIET_MS) return;
    if (this.#unanswered >= MOST_UNANSWERED && !isThere) return this.lose();
    // What was asked before may be lost.
    if (this.#isAborted) this.abort();
    this.#isReading = false;
    this.#read();
  }

  /** Nobody here follows it any more. */
  close() {
    this.#audience.dismiss();
    this.#wanted.clear();
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
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    for (const [socket, seq] of wanted) this.#decide(socket, seq);
  }

  #decide(socket, seq) {
    if (seq > this.history.seq || seq + 1 < this.history.first) socket.send(this.unrecoverable(seq));
    else this.#audience.follow(socket, seq);
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
    this.#endedAt = Date.now();
    this.#audience.advance();
    for (const tell of this.#over.splice(0)) tell(end);
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
