'use strict';

const { holdSocket } = require('../http/hold-socket.js');

/** Upgrades that may wait at once; one more is refused, so that a storm of connects holds no memory without bound. */
const MAX_WAITING = 1024;

const STARTING = 'The server is starting.';

/**
 * Holds upgrades back until the app has registered its handlers. Before that the hub would answer that nobody serves
 * the path, which a client takes for final.
 */
class StartupGate {
  /** What to do with each upgrade that waits. */
  #waiting = new Set();
  #timeoutMs;

  /** @param {number} timeoutMs how long an upgrade waits at most */
  constructor(timeoutMs) {
    this.#timeoutMs = timeoutMs;
  }

  /** Upgrades that wait. */
  get waiting() {
    return this.#waiting.size;
  }

  /**
   * Keeps an upgrade until `ready` has settled. `proceed` is called once: without an argument when it may go on, with a
   * text when it is to be refused, and never when its client has left.
   *
   * @param {Promise<void>} ready
   */
  hold(ready, socket, proceed) {
    if (this.#waiting.size >= MAX_WAITING) return proceed(STARTING);
    const settle = (...outcome) => {
      if (!this.#waiting.delete(settle)) return;
      clearTimeout(timer);
      unwatch();
      if (outcome.length > 0 && !socket.destroyed) proceed(outcome[0]);
    };
    const timer = setTimeout(() => settle(STARTING), this.#timeoutMs);
    const unwatch = holdSocket(socket, () => settle());
    this.#waiting.add(settle);
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

module.exports = { StartupGate };
