'use strict';

const OPEN = 1;

/**
 * One connection's way through one stream. It reads the history at the connection's own pace, so what was missed, what
 * is new and what a slow client has not read yet are one and the same: chunks behind its position. Once it has everything
 * it follows with the others at the stream's front, where nothing is done for it alone.
 */
class Follower {
  #stream;
  #front;
  #maxBufferedBytes;
  #release;

  /** Whether it is sent for at the front. Then its `seq` is that of the front. */
  isAtFront = false;

  /** Pending while the client has to be waited for; undefined while it keeps up. */
  waiting;
  /** Once the producer has waited for this client in vain, it does not wait for it again. */
  isSlow = false;
  isOver = false;

  /**
   * @param socket the connection
   * @param stream the AgentStream
   * @param front its Front
   * @param {number} seq the last chunk the client has
   * @param {number} maxBufferedBytes what may wait in the socket
   */
  constructor(socket, stream, front, seq, maxBufferedBytes) {
    this.socket = socket;
    this.#stream = stream;
    this.#front = front;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.seq = seq;
  }

  /** Sends all that the client does not have, as far as its socket takes it; comes back by itself for the rest. */
  advance() {
    if (this.waiting === undefined && !this.isOver && !this.isAtFront) this.#advance();
  }

  /** Its client does not read as fast as the others: from here on it is sent by itself what it has room for. */
  fallBehind() {
    this.#leaveFront();
    this.advance();
  }

  #leaveFront() {
    if (!this.isAtFront) return;
    this.isAtFront = false;
    this.#front.remove(this);
  }

  /** The connection is gone, or reads the stream anew from elsewhere. */
  stop() {
    this.isOver = true;
    this.#leaveFront();
    this.#caughtUp();
  }

  #advance() {
    const { history } = this.#stream;
    while (this.seq < history.seq) {
      if (this.socket.readyState !== OPEN) return this.stop();
      if (this.socket.bufferedAmount > this.#maxBufferedBytes) return this.#wait();
      const frame = history.frame(this.seq + 1);
      if (frame === undefined) {
        this.socket.send(this.#stream.unrecoverable(this.seq));
        return this.stop();
      }
      this.socket.send(frame);
      this.seq += 1;
    }
    this.#caughtUp();
    if (this.#stream.end === undefined) {
      if (this.socket.bufferedAmount <= this.#maxBufferedBytes) this.isAtFront = this.#front.add(this);
      return;
    }
    this.socket.send(this.#stream.end);
    this.stop();
  }

  #wait() {
    this.waiting ??= new Promise((release) => (this.#release = release));
    this.socket.flushed(this.#maxBufferedBytes >> 1).then(
      () => {
        if (!this.isOver) this.#advance();
      },
      () => this.stop(),
    );
  }

  #caughtUp() {
    this.waiting = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}

module.exports = { Follower };
