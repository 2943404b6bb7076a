'use strict';

// What stands before the native side: origin, session and access of an upgrade. Without a function of the app's to ask
// all of it is done at once; otherwise the socket waits, for a bounded time, in a bounded number.

const { AccessDecisions } = require('./access.js');
const { describe } = require('./faults.js');
const { origination } = require('./forwarded.js');
const { park } = require('./park.js');
const { refuse } = require('./refuse.js');
const { leftMs, readSession, renewal } = require('./session.js');

const UNAUTHORIZED = { closeCode: 4401, closeReason: 'Unauthorized' };
const FORBIDDEN = { closeCode: 4403, closeReason: 'Forbidden' };
const FAILED = { closeCode: 1011, closeReason: 'Access could not be decided' };
const TOO_LATE = { closeCode: 1013, closeReason: 'Access was not decided in time' };

const RESTARTING = 'The server is restarting.';
const BUSY = 'Too many connections are being opened.';

const REFUSALS = { missing: 'SESSION_MISSING', expired: 'SESSION_EXPIRED', forged: 'SESSION_FORGED' };

const isPromise = (value) => typeof value?.then === 'function';

class Timeout extends Error {}

/** Settles as `promise` does, or rejects with Timeout. */
function within(promise, timeoutMs) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Timeout(`not decided within ${timeoutMs} ms`)), timeoutMs);
    // What waits is a socket, which keeps the process by itself for as long as it should be kept.
    timer.unref();
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function parameters(request) {
  const [path, query = ''] = request.url.split('#', 1)[0].split(/\?(.*)/s);
  const found = new URLSearchParams(query);
  return { path, documentId: found.get('documentId') || undefined, clientID: found.get('clientID') || undefined };
}

class Gate {
  #options;
  #security;
  #access;
  /** Ends of the waits for sockets, by which close() refuses them. */
  #parked = new Set();
  #waiting = 0;
  #closed = false;

  /**
   * @param options the hub's, checked
   * @param {import('./security.js').SecurityEvents} security
   */
  constructor(options, security) {
    this.#options = options;
    this.#security = security;
    if (options.access) this.#access = new AccessDecisions(options.access);
  }

  /**
   * Decides about an upgrade.
   *
   * @param {(admission: object) => void} deliver called at most once, with what the native side takes; the socket is
   *   then as Node gave it
   */
  admit(request, socket, deliver) {
    const { trustProxy, allowedOrigins, session } = this.#options;
    const from = origination(trustProxy, request);
    const { origin } = request.headers;
    if (!allowedOrigins(origin, from)) {
      this.#security.report('ORIGIN_REFUSED', { address: from.address, origin });
      return refuse(socket, 403, 'This origin may not connect.');
    }
    const admission = { address: from.address, forwarded: from.forwarded };
    if (!session && !this.#access) return deliver(admission);
    let found;
    try {
      found = session && readSession(session, request);
    } catch (error) {
      return deliver(this.#failed(error, admission));
    }
    if (!isPromise(found) && (!this.#access || found?.reason)) {
      return deliver(this.#identified(admission, found));
    }
    return this.#wait(request, socket, deliver, admission, found);
  }

  /** Refuses all that wait, and all to come. */
  close() {
    this.#closed = true;
    for (const end of this.#parked) end();
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
   * @param {(visitor: object, access: string | null) => void} apply null where it could not be decided
   */
  async recheck(documentId, visitors, apply) {
    if (!this.#access) return;
    const decide = async (visitor) => {
      const { user, profile, client: clientID } = visitor;
      const identity = user ? { user: JSON.parse(profile), profile, id: user } : undefined;
      const ask = { documentId, clientID, path: undefined, req: undefined };
      try {
        apply(visitor, await within(this.#access.decide(identity, ask), this.#options.admissionTimeoutMs));
      } catch (error) {
        this.#failed(error, { user, address: undefined });
        apply(visitor, null);
      }
    };
    await Promise.all(visitors.map(decide));
  }

  async #wait(request, socket, deliver, admission, found) {
    const { limits, admissionTimeoutMs } = this.#options;
    if (limits.waiting > 0 && this.#waiting >= limits.waiting) {
      this.#security.report('LIMIT_WAITING', { address: admission.address });
      found?.catch?.(() => {});
      return refuse(socket, 503, BUSY);
    }
    // Counted until it is decided, also where the client has left: what is asked of the app is what this bounds.
    this.#waiting += 1;
    let left = false;
    const unwatch = park(socket, () => {
      left = true;
      this.#parked.delete(end);
    });
    const end = () => {
      left = true;
      this.#parked.delete(end);
      unwatch();
      refuse(socket, 503, RESTARTING);
    };
    this.#parked.add(end);
    let decided;
    try {
      decided = await within(this.#decide(request, admission, found), admissionTimeoutMs);
    } catch (error) {
      decided = this.#failed(error, admission);
    }
    this.#waiting -= 1;
    if (left || this.#closed) return undefined;
    this.#parked.delete(end);
    unwatch();
    return deliver(decided);
  }

  async #decide(request, admission, found) {
    const identity = await found;
    const identified = this.#identified(admission, identity);
    const { documentId, clientID, path } = parameters(request);
    // Without a document there is nothing to have access to.
    if (identified.closeCode || !this.#access || !documentId) return identified;
    const access = await this.#access.decide(identity, { documentId, clientID, path, req: request });
    if (access !== 'none') return { ...identified, access };
    this.#security.report('ACCESS_REFUSED', { user: identity?.id, address: admission.address, document: documentId });
    return { ...identified, ...FORBIDDEN };
  }

  #identified(admission, identity) {
    if (!identity) return admission;
    if (identity.reason) {
      this.#security.report(REFUSALS[identity.reason] ?? REFUSALS.missing, { address: admission.address });
      return { ...admission, ...UNAUTHORIZED };
    }
    return {
      ...admission,
      user: identity.id,
      session: identity.sessionId,
      expiresInMs: leftMs(identity.expiresAt),
      profile: this.#access && identity.profile,
    };
  }

  /** Nobody is let in by a failure. */
  #failed(error, admission) {
    const late = error instanceof Timeout;
    this.#security.report(late ? 'ADMISSION_TIMEOUT' : 'ADMISSION_FAILED', {
      user: admission.user,
      address: admission.address,
    });
    if (this.#options.logLevel !== 'off') {
      process.stderr.write(`[hub] error: session or access: ${late ? error.message : describe(error)}\n`);
    }
    return { ...admission, ...(late ? TOO_LATE : FAILED) };
  }
}

module.exports = { Gate };
