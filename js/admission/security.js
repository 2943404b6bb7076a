'use strict';

// The stream of what looks like an attack: one event a kind, user, address and document in a while, with a count.

const { attempt, describe } = require('../shared/callbacks.js');

/** How often events are handed on. */
const EVERY_MS = 1000;

/** Different events kept until they are handed on; more are only counted. */
const MAX_EVENTS = 128;

const MAX_ID_LENGTH = 128;

/** What JavaScript sees; the native side counts its own, of which SESSION_EXPIRED is one as well. */
const CODES = [
  'ACCESS_REFUSED',
  'ADMISSION_FAILED',
  'ADMISSION_TIMEOUT',
  'HEADERS_CUT',
  'LIMIT_WAITING',
  'ORIGIN_REFUSED',
  'SESSION_EXPIRED',
  'SESSION_FORGED',
  'SESSION_MISSING',
];

const cut = (id) => (id === undefined ? undefined : String(id).slice(0, MAX_ID_LENGTH));

/** Collects what JavaScript sees, fetches what Rust saw, and hands both on. */
class SecurityEvents {
  #onEvent;
  #fetch;
  #events = new Map();
  #suppressed = 0;
  #totals = Object.fromEntries(CODES.map((code) => [code, 0]));
  #timer;

  /**
   * @param {(event: object) => void} onEvent
   * @param {() => string | null | undefined} fetch events of the native side as JSON
   */
  constructor(onEvent, fetch) {
    this.#onEvent = onEvent;
    this.#fetch = fetch;
    this.#timer = setInterval(() => this.flush(), EVERY_MS);
    this.#timer.unref();
  }

  /** How often each kind happened since the hub began, as far as JavaScript saw it. */
  get totals() {
    return this.#totals;
  }

  report(code, { user, address, document, origin, host, hint } = {}) {
    this.#totals[code] += 1;
    const of = { user: cut(user), address, document: cut(document), origin: cut(origin), host: cut(host), hint };
    const event = { code, count: 0, ...of };
    const key = JSON.stringify(event);
    const known = this.#events.get(key);
    if (known) {
      known.count += 1;
    } else if (this.#events.size < MAX_EVENTS) {
      this.#events.set(key, { ...event, count: 1 });
    } else {
      this.#suppressed += 1;
    }
  }

  flush() {
    const events = [...this.#events.values()];
    this.#events.clear();
    const seen = this.#fetch();
    if (seen) events.push(...JSON.parse(seen));
    if (this.#suppressed > 0) events.push({ code: 'SUPPRESSED', count: this.#suppressed });
    this.#suppressed = 0;
    const time = new Date().toISOString();
    for (const event of events) {
      attempt(
        () => this.#onEvent({ time, ...event }),
        (thrown) => process.stderr.write(`[hub] error: onSecurityEvent threw: ${describe(thrown)}\n`),
      );
    }
  }

  close() {
    clearInterval(this.#timer);
    this.flush();
  }
}

/** What JSON leaves as it is and a terminal or a reader of logs obeys: controls, line separators, changes of direction. */
const OBEYED = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON in one line, in which everything is escaped that could begin another or change how it looks. */
function toLine(value) {
  const line = JSON.stringify(value);
  return line.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function toStderr(event) {
  process.stderr.write(`${toLine({ hub: 'security', ...event })}\n`);
}

/** What a client wrote, for a sentence of the log. */
const quoted = (text) => (text === undefined ? 'nothing' : toLine(cut(text)));

module.exports = { SecurityEvents, toStderr, quoted };
