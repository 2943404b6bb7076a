'use strict';

/** Upgrades that may wait at once; one more is refused, so that a storm of connects holds no memory without bound. */
const MAX_WAITING = 1024;

const STARTING = 'The server is starting.';

/**
 * Holds upgrades back until the app has registered its handlers. Before that the hub would answer that nobody serves
 * the path, which a client takes for final.
 */
class Readiness {
  /** What to do with each upgrade that waits. */
  #waiting = new Set();
  #timeoutMs;

  /** @param {number} timeoutMs how long an upgrade waits at most */
  constructor(timeoutMs) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Keeps an upgrade until `ready` has settled. `proceed` is called once: without an argument when it may go on, with a
   * text when it is to be refused, and never when its client has left. Node goes on reading the socket meanwhile, up to
   * its stream's limit, which is how the end is seen; what it reads stays in the stream for the hand-over.
   *
   * @param {Promise<void>} ready
   */
  park(ready, socket, proceed) {
    if (this.#waiting.size >= MAX_WAITING) return proceed(STARTING);
    const settle = (...outcome) => {
      if (!this.#waiting.delete(settle)) return;
      clearTimeout(timer);
      socket.off('close', leave);
      socket.off('end', gone);
      if (outcome.length > 0 && !socket.destroyed) proceed(outcome[0]);
    };
    const leave = () => settle();
    const gone = () => {
      settle();
      socket.destroy();
    };
    const timer = setTimeout(() => settle(STARTING), this.#timeoutMs);
    this.#waiting.add(settle);
    // http has removed its own listener; without one ECONNRESET would be an uncaught exception.
    socket.on('error', () => socket.destroy());
    socket.once('close', leave);
    socket.once('end', gone);
    ready.then(
      () => settle(undefined),
      () => settle('The server could not start.'),
    );
  }

  /** Refuses what waits, with this text. */
  close(text) {
    for (const settle of [...this.#waiting]) settle(text);
  }
}

module.exports = { Readiness };
