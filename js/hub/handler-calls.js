'use strict';

// What is counted of handlers on Node's thread.

const { Times } = require('../admission/times.js');

/** The callbacks of handlers, and the listeners to `'message'`, in the order in which the native side knows them. */
const CALLBACKS = ['onConnect', 'onMessage', 'onClose', 'onError', 'listeners'];

/** What is counted of the calls of handlers. */
class HandlerCalls {
  failed = 0;
  #times = new Map(CALLBACKS.map((name) => [name, new Times()]));
  #lastMs = 0;

  /** What is called from here on holds up the thread from now on. */
  begin() {
    this.#lastMs = performance.now();
  }

  /** A callback has answered; the next may follow at once. */
  end(callback) {
    const now = performance.now();
    this.#times.get(callback).observe(now - this.#lastMs);
    this.#lastMs = now;
  }

  get given() {
    return [...this.#times.values()].map((times) => times.given);
  }
}

module.exports = { HandlerCalls };
