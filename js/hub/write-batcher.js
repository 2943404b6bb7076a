'use strict';

/** What sockets need of the native side; one for all of them. */
class WriteBatcher {
  #number = 0;
  #scheduled = false;
  /** By number: those who wait for what was published to be sent. */
  #sending = new Map();
  /** Whether a batch is being handled, whose end flushes. */
  inBatch = false;

  /** @param failed takes what code of the app's threw that a socket has called: see Handlers#failed */
  constructor(native, failed) {
    this.native = native;
    this.failed = failed;
  }

  nextNumber() {
    this.#number = (this.#number + 1) >>> 0;
    return this.#number;
  }

  /** Has what was sent written at the end of this turn: of the batch, or once no promise is left to go on. */
  flushSoon() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (!this.inBatch) process.nextTick(this.flush);
  }

  /** Resolves once what was published to a room so far has been sent to its members. */
  whenSent(path, room) {
    return new Promise((resolve) => {
      const number = this.nextNumber();
      this.#sending.set(number, resolve);
      this.native.whenSent(path, room, number);
    });
  }

  sent(number) {
    this.#sending.get(number)?.();
    this.#sending.delete(number);
  }

  flush = () => {
    if (!this.#scheduled) return;
    this.#scheduled = false;
    this.native.flush();
  };
}

module.exports = { WriteBatcher };
