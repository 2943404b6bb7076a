'use strict';

const { runningHub } = require('../shared/global-hub.js');

/** What is on the way to the members of a front is a quarter of what may wait for one of them: it comes on top of that. */
const ON_THE_WAY = 1 / 4;

/**
 * Those who have everything of a stream so far: one room, to which a chunk is published once for all of them. It reads the
 * history as a Follower does, and has the same words for it.
 */
class Front {
  #stream;
  #path;
  #maxBufferedBytes;
  /** All who watch a stream are where it runs: a room that begins so is no other process's affair. */
  #room = `\0${crypto.randomUUID()}`;
  #members = new Set();
  /** What was published since the hub's threads had sent all of it. */
  #unsentBytes = 0;
  #release;

  /** The last chunk that was published. */
  seq = 0;
  /** Pending while the hub's threads have to be waited for. */
  waiting;

  /**
   * @param stream the AgentStream
   * @param {string} path of the handler
   * @param {number} maxBufferedBytes what may wait in the socket of one member
   */
  constructor(stream, path, maxBufferedBytes) {
    this.#stream = stream;
    this.#path = path;
    this.#maxBufferedBytes = maxBufferedBytes;
  }

  get isOver() {
    return this.#members.size === 0;
  }

  is(room) {
    return room === this.#room;
  }

  /** Takes a follower in, where it is as far as the others and its socket can be in a room; answers whether it did. */
  add(follower) {
    const { socket } = follower;
    if (typeof socket.join !== 'function') return false;
    if (this.isOver && this.waiting === undefined) this.seq = this.#stream.history.seq;
    if (follower.seq !== this.seq) return false;
    try {
      if (!socket.join(this.#room, { slowAboveBytes: this.#maxBufferedBytes })) return false;
    } catch {
      // It is in as many rooms as it may be.
      return false;
    }
    this.#members.add(follower);
    return true;
  }

  /** Lets a follower go, which goes on by itself from where all are. */
  remove(follower) {
    if (!this.#members.delete(follower)) return;
    follower.socket.leave(this.#room);
    follower.seq = this.seq;
  }

  /** Publishes all that was not; comes back by itself for the rest. */
  advance() {
    if (this.waiting === undefined) this.#advance();
  }

  #advance() {
    const { history } = this.#stream;
    while (!this.isOver && this.seq < history.seq) {
      if (this.#unsentBytes > this.#maxBufferedBytes * ON_THE_WAY) return this.#wait();
      const frame = history.frame(this.seq + 1);
      if (!this.#publish(frame)) return this.#wait();
      this.seq += 1;
    }
    this.#caughtUp();
    const { end } = this.#stream;
    if (end === undefined || this.isOver) return;
    this.#publish(end);
    for (const follower of [...this.#members]) follower.stop();
  }

  /** Answers whether it need not be tried again. */
  #publish(text) {
    this.#unsentBytes += text.length;
    try {
      runningHub()?.publishToRoom(this.#path, this.#room, text);
      return true;
    } catch (error) {
      // A hub that ends closes all members.
      return error?.code !== 'HUB_OVERLOADED';
    }
  }

  #wait() {
    this.waiting ??= new Promise((release) => (this.#release = release));
    // Who reads slowly is known by then: its 'slow' comes before this.
    Promise.resolve(runningHub()?.whenSent(this.#path, this.#room)).then(() => {
      this.#unsentBytes = 0;
      this.#advance();
    });
  }

  #caughtUp() {
    this.waiting = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}

module.exports = { Front };
