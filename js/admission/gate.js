'use strict';

// What stands before the native side: origin, session and access of an upgrade. Without a function of the app's to ask
// all of it is done at once; otherwise the socket waits, for a bounded time, in a bounded number.

const { AccessDecisions } = require('./access.js');
const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { isCut, last, requestSource, rawHeader } = require('./forwarded.js');
const { advice } = require('./origin.js');
const { holdSocket } = require('../http/hold-socket.js');
const { refuse } = require('../http/refuse.js');
const { quoted } = require('./security.js');
const { leftMs, readSession, renewal } = require('./session.js');
const { Times } = require('./times.js');

const UNAUTHORIZED = { closeCode: 4401, closeReason: 'Unauthorized' };
const FORBIDDEN = { closeCode: 4403, closeReason: 'Forbidden' };
const FAILED = { closeCode: 1011, closeReason: 'Access could not be decided' };
const TOO_LATE = { closeCode: 1013, closeReason: 'Access was not decided in time' };

const RESTARTING = 'The server is restarting.';
const BUSY = 'Too many connections are being opened.';

const REFUSALS = { missing: 'SESSION_MISSING', expired: 'SESSION_EXPIRED', forged: 'SESSION_FORGED' };

/** How often at most the log says why something could not be decided: whoever connects chooses how often it happens. */
const LOG_EVERY_MS = 1000;

const isPromise = (value) => typeof value?.then === 'function';

class Timeout extends Error {}

/** Calls `done` once: with what `begin` answers through its argument, or with a Timeout as `error`. */
function within(timeoutMs, begin, done) {
  let isOpen = true;
  const answer = (outcome) => {
    if (!isOpen) return;
    isOpen = false;
    clearTimeout(timer);
    done(outcome);
  };
  const timer = setTimeout(() => answer({ error: new Timeout(`not decided within ${timeoutMs} ms`) }), timeoutMs);
  // What waits is a socket, which keeps the process by itself for as long as it should be kept.
  timer.unref();
  begin(answer);
}

function parameters(request) {
  const [path, query = ''] = request.url.split('#', 1)[0].split(/\?(.*)/s);
  // The constructor drops a question mark in front, and it must not be one of the query's own: the native side would
  // find another document in it.
  const found = new URLSearchParams(`?${query}`);
  return { path, documentId: found.get('documentId') || undefined, clientID: found.get('clientID') || undefined };
}

class Gate {
  #options;
  #security;
  #access;
  /** What is being decided: `{ asks, userId, disconnected, answer, end }`. */
  #waits = new Set();
  /** How many of them ask the app. */
  #asking = 0;
  #loggedAt = -Infinity;
  /** How long decisions took; undefined where nothing is asked. */
  times;

  /**
   * @param options the hub's, checked
   * @param {import('./security.js').SecurityEvents} security
   */
  constructor(options, security) {
    this.#options = options;
    if (options.session || options.access) this.times = new Times();
    this.#security = security;
    if (options.access) this.#access = new AccessDecisions(options.access);
  }

  /** Upgrades about which is being decided. */
  get waiting() {
    return this.#waits.size;
  }

  /**
   * Decides about an upgrade.
   *
   * @param {(admission: object) => void} deliver called at most once, with what the native side takes; the socket is
   *   then as Node gave it
   */
  admit(request, socket, deliver) {
    const { trustProxy, allowedOrigins, session } = this.#options;
    const from = requestSource(trustProxy, request);
    if (isCut(request)) {
      // Where a proxy may have named the address it may be in what was cut, and the proxy's own is nobody's.
      this.#security.report('HEADERS_CUT', { address: trustProxy ? undefined : from.address });
      return refuse(socket, 431, 'A request for a WebSocket has fewer headers.');
    }
    const origin = rawHeader(request, 'origin');
    if (!allowedOrigins(origin, from)) {
      this.#reportOrigin(request, from, origin);
      return refuse(socket, 403, 'This origin may not connect.');
    }
    const admission = { address: from.address, forwarded: from.forwarded };
    if (!session && !this.#access) return deliver(admission);
    const beganMs = performance.now();
    let found;
    try {
      found = session && readSession(session, request);
    } catch (error) {
      return deliver(this.#failed(error, admission));
    }
    if (!isPromise(found) && (!this.#access || found?.reason)) {
      this.times.observe(performance.now() - beganMs);
      return deliver(this.#identified(admission, found));
    }
    return this.#wait(request, socket, deliver, admission, found, beganMs);
  }

  /** Refuses all that wait. */
  close() {
    for (const { end } of this.#waits) end();
  }

  /** Turns away what waits for a user, also where it only turns out later that it is the user's. */
  disconnect(userId, closeCode, closeReason) {
    const close = { closeCode, closeReason };
    for (const wait of [...this.#waits]) {
      if (wait.userId === userId) wait.answer({ refusal: close });
      else if (wait.userId === undefined) (wait.disconnected ??= new Map()).set(userId, close);
    }
  }

  /** Access of a user to a document has changed: what is being decided about it is decided again. */
  invalidate(userId, documentId) {
    this.#access?.invalidate(userId, documentId);
  }

  /** @see renewal in session.js */
  renewal(about) {
    return renewal(this.#options.session, about);
  }

  /**
   * Decides anew about connections there are, each `{ user, profile, client, serial }`.
   *
   * @param {(connection: object, access: string | null) => void} apply null where it could not be decided
   */
  async recheck(documentId, connections, apply) {
    if (!this.#access) return;
    const { admissionTimeoutMs } = this.#options;
    const decide = (connection) =>
      new Promise((resolve) => {
        const { user, profile, client: clientID } = connection;
        const identity = user ? { user: JSON.parse(profile), profile, id: user } : undefined;
        const ask = { documentId, clientID, path: undefined, req: undefined };
        const begin = (answer) => this.#access.decide(identity, ask, answer);
        within(admissionTimeoutMs, begin, ({ access = null, error }) => {
          if (access === null) this.#failed(error, { user, address: undefined });
          try {
            resolve(apply(connection, access));
          } catch (failure) {
            resolve(Promise.reject(failure));
          }
        });
      });
    await Promise.all(connections.map(decide));
  }

  /** Says both sides of what was compared, and what helps. */
  #reportOrigin(request, from, origin) {
    const { address, host } = from;
    const hint = advice(origin, from, last(rawHeader(request, 'x-forwarded-host')));
    this.#security.report('ORIGIN_REFUSED', { address, origin, host, hint });
    if (process.env.NODE_ENV === 'production' || ['off', 'error'].includes(this.#options.logLevel)) return;
    this.#log('warn', `a WebSocket from the page ${quoted(origin)} to ${quoted(host)} got 403: ${hint}`);
  }

  #wait(request, socket, deliver, admission, found, beganMs) {
    const { admissionTimeoutMs, session } = this.#options;
    // A cookie that is read here waits for nobody: a thousand that come back at once are no reason to turn one away.
    const asks = !session?.check;
    if (asks && this.#isFull()) {
      found?.catch?.(() => {});
      return this.#turnAway(socket, admission);
    }
    let left = false;
    const unwatch = holdSocket(socket, () => {
      left = true;
    });
    const wait = { asks: false, userId: undefined, disconnected: undefined, answer: undefined };
    if (asks) this.#ask(wait);
    wait.end = () => {
      if (left) return;
      left = true;
      unwatch();
      refuse(socket, 503, RESTARTING);
    };
    // Here until it is decided, also where the client has left: what is asked of the app is what the limit bounds.
    this.#waits.add(wait);
    const begin = (answer) => {
      wait.answer = answer;
      this.#decide(request, admission, found, wait);
    };
    within(admissionTimeoutMs, begin, ({ decided, refusal, error, isFull }) => {
      this.#waits.delete(wait);
      this.times.observe(performance.now() - beganMs);
      if (wait.asks) this.#asking -= 1;
      const closed = refusal && { ...admission, ...refusal };
      const outcome = isFull ? undefined : (decided ?? closed ?? this.#failed(error, admission));
      if (left) return;
      unwatch();
      if (outcome) deliver(outcome);
      else this.#turnAway(socket, admission);
    });
    return undefined;
  }

  #ask(wait) {
    wait.asks = true;
    this.#asking += 1;
  }

  /** Whether the app is asked about as many as it may be. */
  #isFull() {
    const { waiting } = this.#options.limits;
    return waiting > 0 && this.#asking >= waiting;
  }

  #turnAway(socket, { address }) {
    this.#security.report('LIMIT_WAITING', { address });
    refuse(socket, 503, BUSY);
  }

  #decide(request, admission, found, wait) {
    const { answer } = wait;
    const { documentId, clientID, path } = parameters(request);
    const goOn = (identity) => {
      const refusal = wait.disconnected?.get(identity?.id);
      if (refusal) return answer({ refusal });
      wait.userId = identity?.id;
      // Without a document there is nothing to have access to.
      if (identity?.reason || !this.#access || !documentId)
        return answer({ decided: { ...this.#identified(admission, identity), document: this.#access && '' } });
      if (!wait.asks) {
        if (this.#isFull()) return answer({ isFull: true });
        this.#ask(wait);
      }
      return this.#access.decide(identity, { documentId, clientID, path, req: request }, ({ access, error }) => {
        if (access === undefined) answer({ error });
        else answer({ decided: this.#accessed(this.#identified(admission, identity), documentId, access) });
      });
    };
    Promise.resolve(found)
      .then(goOn)
      .catch((error) => answer({ error }));
  }

  #accessed(identified, documentId, access) {
    if (identified.closeCode) return identified;
    if (access !== 'none') return { ...identified, access, document: documentId };
    const { user, address } = identified;
    this.#security.report('ACCESS_REFUSED', { user, address, document: documentId });
    return { ...identified, ...FORBIDDEN };
  }

  #identified(admission, identity) {
    if (!identity) return admission;
    const expiresInMs = leftMs(identity.expiresAt);
    const reason = expiresInMs === 0 ? 'expired' : identity.reason;
    if (reason) {
      this.#security.report(REFUSALS[reason] ?? REFUSALS.missing, { address: admission.address });
      return { ...admission, ...UNAUTHORIZED };
    }
    return {
      ...admission,
      user: identity.id,
      session: identity.sessionId,
      expiresInMs,
      profile: this.#access && identity.profile,
    };
  }

  /** Nobody is let in by a failure. */
  #failed(error, admission) {
    const late = error instanceof Timeout;
    const about = { user: admission.user, address: admission.address };
    this.#security.report(late ? 'ADMISSION_TIMEOUT' : 'ADMISSION_FAILED', about);
    if (this.#options.logLevel !== 'off')
      this.#log('error', `session or access: ${late ? error.message : describe(error)}`, about);
    return { ...admission, ...(late ? TOO_LATE : FAILED) };
  }

  #log(level, text, about) {
    if (performance.now() - this.#loggedAt < LOG_EVERY_MS) return;
    this.#loggedAt = performance.now();
    log(level, text, about);
  }
}

module.exports = { Gate };
