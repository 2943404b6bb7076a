'use strict';

// The client of the fabric endpoint, for browsers and for Node. It must stay without an import of Node's.

const { clientOptions, FIELDS } = require('./client/options.js');
const { Queue } = require('./client/queue.js');
const { invalid } = require('./shared/errors.js');

const ACK_AFTER_MS = 500;

const report = (error) => console.error('A listener of the hub client failed', error);

// ---- ReconnectingSocket: written here, copied into agent-client.mjs by scripts/share-socket.mjs ----

/** A connection that lived this long has the waits start from the shortest again. */
const STABLE_MS = 10_000;
/** How long what may already lie in the socket gets to be read, after the time for an answer is over. */
const LAST_LOOK_MS = 250;

const NORMAL = 1000;
const TRY_AGAIN_LATER = 1013;
/** What a browser does not tell apart. */
const UNREACHED = 'the server is not there, or the network, a proxy or a Content-Security-Policy is in the way';
/** After 1013 the wait is at least that of this try, and at least half of it. */
const LATER_TRIES = 2;
/** Done, or at fault: the same client would only be closed again. So it would after 44xx, where it may not come in. */
const FINAL_CODES = [NORMAL, 1002, 1003, 1007, 1008, 1009];

/**
 * Another connection has shown this one's token. Nobody else has it: it was one that this client gave up before it was
 * through, and that came through after all.
 */
const REPLACED = 4409;

const isFinal = (code) => FINAL_CODES.includes(code) || (code >= 4400 && code < 4500 && code !== REPLACED);
const now = () => performance.now();

/**
 * A WebSocket that comes back by itself, and notices when the other end is gone though nothing says so.
 *
 * Its owner says when a connection is of use by `opened`, and gives by options `address()`, `ask()`, which sends what is
 * always answered, `receive(data)`, `changed(change)` for each new state, and `dropped()` before a state without a socket.
 */
class ReconnectingSocket {
  state = 'idle';
  #options;
  #socket = null;
  /** There is one at a time: until the other end has spoken, until the next try, or until the next look at it. */
  #timer;
  #tries = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** Whether the other end was asked for a sign of life, and has given none yet. */
  #isAsking = false;

  constructor(options) {
    this.#options = options;
  }

  connect() {
    if (this.#socket !== null) return;
    try {
      this.#socket = new this.#options.WebSocket(this.#options.address());
    } catch (error) {
      // What a page may not do at all throws at the first try; later ones may fail for reasons that pass.
      if (this.state !== 'waiting') throw error;
      this.lost(0, `No socket could be made: ${error?.message ?? error}`);
      return;
    }
    const socket = this.#socket;
    socket.onmessage = ({ data }) => {
      this.#heardAt = now();
      if (this.#isAsking) this.#watch();
      this.#options.receive(data);
    };
    let why = 'The connection was lost';
    socket.onclose = ({ code, reason }) => this.lost(code, reason || why);
    // A close follows every error; the package `ws` throws those that nobody listens to. Browsers tell no more.
    socket.onerror = ({ message }) => {
      if (this.state === 'connecting') why = `No connection came about: ${message || UNREACHED}`;
    };
    this.#await('The hub does not answer');
    this.#listenToHints(true);
    this.#set({ state: 'connecting', retryAt: null });
  }

  /** The connection is of use. */
  opened() {
    this.#openedAt = now();
    this.#watch();
    this.#set({ state: 'open', code: 0, reason: '' });
  }

  send(text) {
    this.#socket.send(text);
  }

  /** What was just sent is always answered, so silence tells soon that nobody is there. */
  expectAnswer() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#await('The hub went silent');
  }

  /** Gives a connection up, to make another one unless the code says that this would change nothing. */
  lost(code, reason) {
    const wasStable = this.state === 'open' && now() - this.#openedAt > STABLE_MS;
    if (this.#options.isFinal(code)) return this.end(code, reason);
    this.#drop();
    if (wasStable) this.#tries = 0;
    const isLater = code === TRY_AGAIN_LATER;
    if (isLater) this.#tries = Math.max(this.#tries, LATER_TRIES);
    const { firstWaitMs, longestWaitMs, random } = this.#options;
    const longest = Math.min(longestWaitMs, firstWaitMs * 2 ** this.#tries);
    // All of it is random, so that a thousand clients do not come back in one instant.
    const wait = isLater ? (longest * (1 + random())) / 2 : longest * random();
    this.#tries += 1;
    this.#in(wait, () => this.connect());
    this.#set({ state: 'waiting', retryAt: Date.now() + wait, code, reason: reason || 'The connection was lost' });
  }

  end(code, reason) {
    this.#drop();
    clearTimeout(this.#timer);
    this.#listenToHints(false);
    this.#tries = 0;
    this.#set({ state: 'closed', retryAt: null, code, reason });
  }

  #in(ms, deed) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(deed, ms);
  }

  /**
   * Gives the connection up unless something comes in time. A process or page that was suspended meanwhile finds its
   * timer due before it has read what came, and what is still being uploaded is no silence: it reads first, then judges.
   */
  #await(reason, ms = this.#options.answerTimeoutMs, isLast = false) {
    const dueAt = now() + ms;
    const unsent = this.#socket.bufferedAmount ?? 0;
    this.#in(ms, () => {
      const isLate = now() - dueAt > LAST_LOOK_MS;
      if ((this.#socket.bufferedAmount ?? 0) < unsent) this.#await(reason);
      else if (isLate || !isLast) this.#await(reason, LAST_LOOK_MS, true);
      else this.lost(0, reason);
    });
  }

  /**
   * Looks again when the other end has been silent for long. A browser shows no pings, and one that only listens never
   * learns that the other end is gone, so the silent one is asked for an answer.
   */
  #watch() {
    this.#isAsking = false;
    const silent = now() - this.#heardAt;
    if (silent >= this.#options.silenceMs) this.#ask();
    else this.#in(this.#options.silenceMs - silent, () => this.#watch());
  }

  #ask() {
    this.#options.ask();
    this.expectAnswer();
  }

  /** Lets go of the socket without waiting for it: on a dead network its close event may take a minute. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isAsking = false;
    this.#options.dropped();
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(NORMAL);
  }

  /** A network that is back, or a page that is looked at again, is no time to sit out a wait. */
  #hurry = () => {
    if (globalThis.document?.visibilityState === 'hidden') return;
    if (this.state === 'waiting') this.connect();
    else if (this.state === 'open' && !this.#isAsking) this.#ask();
  };

  #listenToHints(on) {
    const name = on ? 'addEventListener' : 'removeEventListener';
    // Node has neither.
    globalThis[name]?.('online', this.#hurry);
    globalThis[name]?.('pageshow', this.#hurry);
    globalThis.document?.[name]?.('visibilitychange', this.#hurry);
  }

  #set(change) {
    this.state = change.state;
    this.#options.changed(change);
  }
}

// ---- end of ReconnectingSocket ----

class FabricClient {
  #options;
  #queue;
  #listeners = new Map();
  #status = { state: 'idle', retryAt: null, code: 0, reason: '' };
  #socket;
  /** Until the hub reads again, after it said that there was too much. */
  #pause;
  /** Until the hub is asked what it has published, which is asked once for all that was sent meanwhile. */
  #ackTimer;
  /** Until more of what is true now is due. */
  #showTimer;
  /** `{ token, epoch, offset }` of what the app has seen; null where the hub gave none. */
  #position = null;
  /** Where the hub would have this connection begin, until it has said whether it makes good what was missed. */
  #offered = null;
  /** Whether there was a connection before, so that something may have been missed. */
  #wasOpen = false;
  /** Why what was missed cannot be made good, where this side knows it. */
  #doubt = '';

  constructor(options) {
    this.#options = clientOptions(options);
    this.#queue = new Queue(this.#options);
    this.#socket = new ReconnectingSocket({
      ...this.#options,
      isFinal,
      address: () => this.#address(),
      receive: (data) => this.#receive(data),
      // An old hub knows only the latter.
      ask: () => this.#say(this.#position ? 'ack' : 'sync'),
      dropped: () => this.#dropped(),
      changed: (change) => this.#set(change),
    });
  }

  get status() {
    return this.#status;
  }

  get unacknowledged() {
    return this.#queue.length;
  }

  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => this.off(event, listener);
  }

  off(event, listener) {
    this.#listeners.get(event)?.delete(listener);
  }

  connect() {
    this.#socket.connect();
  }

  close() {
    this.#showAll();
    if (this.#status.state !== 'closed') this.#socket.end(NORMAL, '');
  }

  send(type, ...values) {
    const message = this.#message(type, values);
    if (this.#status.state === 'closed') return false;
    const isTaken = this.#queue.add(message);
    this.#flush();
    return isTaken;
  }

  fits(type, ...values) {
    return this.#queue.fits(this.#message(type, values));
  }

  #message(type, values) {
    const fields = Object.hasOwn(FIELDS, type) ? FIELDS[type] : invalid(`type ${type} is not one a client sends`);
    const message = { type, documentId: this.#options.documentId };
    fields.forEach((field, index) => (message[field] = values[index]));
    // The hub would refuse it, and the app would not learn which one it was.
    for (const field of fields) if (message[field] === undefined && type !== 'sync') invalid(`${type} needs ${field}`);
    return message;
  }

  // ---- messages -------------------------------------------------------------------------------------------------

  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // a text that a route handler sent to everybody
    }
    if (typeof message?.type !== 'string') return;
    const { type, offset } = message;
    if (this.#status.state === 'connecting' && this.#greet(message)) return;
    if (type === 'ack') return this.#acknowledged(message);
    if (type === 'token' && this.#position) {
      this.#position.token = message.token;
      return;
    }
    if (offset !== undefined && this.#position) {
      // Not each is one more than the last: this client's own and those for others are left out. But they only rise.
      if (this.#offered || !(offset > this.#position.offset)) return this.#distrust();
      this.#position.offset = offset;
    }
    if (type === 'error') this.#refused(message);
    this.#emit('message', message);
  }

  /** Takes what comes before a connection is of use: `connected`, and whether what was missed is made good. */
  #greet({ type, token, epoch, offset, from, to, reason, upTo }) {
    if (type === 'connected') {
      const offered = token === undefined ? null : { token, epoch, offset };
      if (this.#position && offered) this.#offered = offered;
      else this.#begin(offered, this.#doubt || 'RECOVERY_OFF');
    } else if (this.#offered && type === 'reload') {
      this.#begin(this.#offered, reason, upTo);
    } else if (this.#offered && type === 'recovered') {
      if (from !== this.#position.offset) this.#distrust();
      else {
        this.#position.token = this.#offered.token;
        this.#open('recovered', { from, to }, this.#queue.acknowledge(upTo));
      }
    } else return false;
    return true;
  }

  /** From here on it is a client that has seen nothing. */
  #begin(position, reason, upTo) {
    this.#position = position;
    this.#doubt = '';
    if (!this.#wasOpen) return this.#open('connected', {}, 0);
    const count = this.#queue.acknowledge(upTo);
    const unacknowledged = this.#queue.clear();
    this.#open('reload', { reason, certain: upTo !== undefined, unacknowledged }, count);
  }

  #open(event, detail, acknowledged) {
    this.#wasOpen = true;
    this.#offered = null;
    this.#socket.opened();
    // Also when a listener closed it just now: after another connect() nobody would say it again.
    this.#emit(event, detail);
    if (acknowledged > 0) this.#emit('acknowledged', {});
    this.#flush();
  }

  /** A hub that contradicts itself: what was missed is not known any more. */
  #distrust() {
    this.#position = null;
    this.#doubt = 'OFFSETS_OUT_OF_ORDER';
    this.#socket.lost(0, this.#doubt);
  }

  #flush() {
    if (this.#status.state !== 'open' || this.#pause !== undefined) return;
    for (const text of this.#queue.unsent()) this.#socket.send(text);
    this.#show();
    // A hub that gives no token acknowledges nothing.
    if (!this.#position) this.#queue.forgetSent();
    else if (this.#queue.length > 0) this.#ackTimer ??= setTimeout(() => this.#askForAck(), ACK_AFTER_MS);
  }

  /** Sends what is true now and due; the newest of the rest once it is. */
  #show(isLast = false) {
    for (const text of this.#queue.shown(now(), isLast)) this.#socket.send(text);
    const wait = this.#queue.nextDueAt - now();
    if (this.#showTimer !== undefined || wait === Infinity) return;
    this.#showTimer = setTimeout(() => {
      this.#stopShowing();
      this.#flush();
    }, wait);
    // What a page says as it goes, such as that nobody is here any more, has no later.
    globalThis.addEventListener?.('pagehide', this.#showAll);
  }

  #showAll = () => {
    if (this.#status.state === 'open') this.#show(true);
  };

  #stopShowing() {
    clearTimeout(this.#showTimer);
    this.#showTimer = undefined;
    globalThis.removeEventListener?.('pagehide', this.#showAll);
  }

  #askForAck() {
    this.#ackTimer = undefined;
    this.#say('ack');
  }

  #acknowledged({ upTo, offset }) {
    // Its own messages and those for others move the document on, too: who only writes would fall behind the history.
    if (this.#position && offset > this.#position.offset) this.#position.offset = offset;
    // What was sent before the question and is not in the answer was refused: asking again would change nothing.
    if (this.#queue.acknowledge(upTo) === 0) return;
    this.#emit('acknowledged', {});
    this.#flush();
  }

  #refused({ code, retryInMs }) {
    // Sent again, they would be refused again.
    if (code === 'READ_ONLY') this.#queue.clear();
    if (!retryInMs) return;
    // It has taken what was sent, and reads no more for so long; what comes meanwhile had better wait here.
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#flush();
    }, retryInMs);
  }

  /** Sends a message that has no payload. */
  #say(type) {
    this.#socket.send(JSON.stringify({ type, documentId: this.#options.documentId }));
  }

  // ---- the connection -------------------------------------------------------------------------------------------

  #dropped() {
    this.#offered = null;
    clearTimeout(this.#pause);
    clearTimeout(this.#ackTimer);
    this.#pause = this.#ackTimer = undefined;
    this.#stopShowing();
    this.#queue.rewind();
  }

  #address() {
    const url = new URL(this.#options.url);
    for (const name in this.#position) url.searchParams.set(name, this.#position[name]);
    return url.href;
  }

  // ---- events ---------------------------------------------------------------------------------------------------

  #set(change) {
    this.#status = { ...this.#status, ...change };
    this.#emit('status', this.#status);
    if (change.state === 'closed') this.#emit('closed', { code: change.code, reason: change.reason });
  }

  #emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(detail)?.catch?.(report);
      } catch (error) {
        report(error);
      }
    }
  }
}

module.exports = { FabricClient };
