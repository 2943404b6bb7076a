'use strict';

// The stream of what looks like an attack: one event a kind, user, address and document in a while, with a count.

const { attempt, describe } = require('../shared/callbacks.js');
const { log, toLine, write } = require('../shared/log.js');

/** Events that are kept for who asks. */
const KEPT = 1000;

/** How often events are handed on. */
const EVERY_MS = 1000;

/** What a client wrote is cut to so many characters where it stands in a sentence. */
const MAX_QUOTED_LENGTH = 128;

const cut = (text) => String(text).slice(0, MAX_QUOTED_LENGTH);

/**
 * Reports to the one log of the process, which is the native side's, and hands on what all have reported: equal events
 * are one with a count there, and different ones are bounded.
 */
class SecurityEvents {
  #onEvent;
  #native;
  #timer;
  /** The latest, the oldest first. */
  #kept = [];

  /**
   * @param {(event: object) => void} onEvent
   * @param native what has `reportSecurityEvent`, `securityEvents` and `securityTotals`
   */
  constructor(onEvent, native) {
    this.#onEvent = onEvent;
    this.#native = native;
    this.#timer = setInterval(() => this.flush(), EVERY_MS);
    this.#timer.unref();
  }

  /** How often each kind happened since the process began. */
  get totals() {
    return this.#native.securityTotals();
  }

  /** @param {{ by?, user?, address?, document?, origin?, host?, hint? }} [about] */
  report(code, about = {}) {
    const given = Object.entries(about).filter(([, value]) => value !== undefined);
    this.#native.reportSecurityEvent(code, Object.fromEntries(given.map(([name, value]) => [name, String(value)])));
  }

  flush() {
    const reported = this.#native.securityEvents();
    const events = reported ? JSON.parse(reported) : [];
    const time = new Date().toISOString();
    for (const each of events) {
      const event = { time, ...each };
      this.#kept.push(event);
      attempt(
        () => this.#onEvent({ ...event }),
        (thrown) => log('error', `onSecurityEvent threw: ${describe(thrown)}`),
      );
    }
    if (this.#kept.length > KEPT) this.#kept.splice(0, this.#kept.length - KEPT);
  }

  /** The latest, the newest first. */
  latest(limit) {
    this.flush();
    return this.#kept.slice(-limit).reverse();
  }

  close() {
    clearInterval(this.#timer);
    this.flush();
  }
}

function toStderr(event) {
  // What was done by somebody with the right to it is never left out.
  write(toLine({ hub: 'security', ...event }), event.code === 'ADMIN_ACTION');
}

/** What a client wrote, for a sentence of the log. */
const quoted = (text) => (text === undefined ? 'nothing' : toLine(cut(text)));

module.exports = { SecurityEvents, toStderr, quoted };
