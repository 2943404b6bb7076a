'use strict';

const { Follower } = require('./follower.js');
const { Front } = require('./front.js');

/** Those of this process who follow a stream: most of them at its front, the others by themselves. */
class Audience {
  #stream;
  #options;
  #followers = new Map();
  /** Of these, those who are sent to by themselves. */
  #behind = new Set();
  #front;

  /**
   * @param stream what they follow: it has a `history`, an `end` once there is one, and `unrecoverable(seq)`
   * @param options of createAgentHandler
   */
  constructor(stream, options) {
    this.#stream = stream;
    this.#options = options;
    this.#front = new Front(stream, options.path, options.maxBufferedBytes);
  }

  isFollowedBy(socket) {
    return this.#followers.get(socket)?.isOver === false;
  }

  /** Sends the socket everything after `seq`, what is there and what is to come. */
  follow(socket, seq) {
    // Who was waited for in vain is not waited for again because it asks anew.
    const isSlow = this.#followers.get(socket)?.isSlow ?? false;
    this.unfollow(socket);
    const follower = new Follower(socket, this.#stream, this.#front, seq, this.#options.maxBufferedBytes);
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

  /** Nobody follows any more; answers who did. */
  dismiss() {
    const all = [...this.#followers].filter(([, { isOver }]) => !isOver);
    for (const [socket] of all) this.unfollow(socket);
    return all.map(([socket, { seq }]) => ({ socket, seq }));
  }

  /** Too much waits for a socket that is in `room`. */
  slow(socket, room) {
    const follower = this.#followers.get(socket);
    if (!follower?.isAtFront || !this.#front.is(room)) return;
    this.#behind.add(follower);
    follower.fallBehind();
  }

  /** There is more to send. */
  advance() {
    this.#front.advance();
    for (const follower of this.#behind) {
      follower.advance();
      if (follower.isAtFront) this.#behind.delete(follower);
    }
  }

  /** The first chunk that somebody who is waited for does not have yet. */
  get neededSeq() {
    let needed = this.#front.isOver ? Infinity : this.#front.seq + 1;
    for (const { seq, isSlow, isOver } of this.#behind) {
      if (!isSlow && !isOver) needed = Math.min(needed, seq + 1);
    }
    return needed;
  }

  /** Whether anybody has to be waited for. */
  get isWaitedFor() {
    return this.#front.waiting !== undefined || [...this.#behind].some(({ waiting, isSlow }) => waiting && !isSlow);
  }

  get isHeldUp() {
    return this.#front.waiting !== undefined || this.#behind.size > 0;
  }

  /**
   * Waits for those who cannot keep up, for as long as that is fair to the others.
   *
   * @param {Promise<void>} [another] who is waited for as well
   * @returns {Promise<boolean>} whether all have caught up
   */
  async room(another) {
    const behind = [...this.#behind].filter(({ waiting, isSlow }) => waiting && !isSlow);
    const waiting = behind.map((follower) => follower.waiting);
    // The front never is slow: what it waits for are the hub's own threads.
    if (this.#front.waiting) waiting.push(this.#front.waiting);
    if (another) waiting.push(another);
    if (waiting.length === 0) return true;
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, this.#options.slowWatcherMs, false)));
    const isDone = await Promise.race([Promise.all(waiting).then(() => true), late]);
    clearTimeout(timer);
    for (const [index, follower] of behind.entries()) {
      if (follower.waiting === waiting[index]) follower.isSlow = true;
    }
    return isDone;
  }
}

module.exports = { Audience };
