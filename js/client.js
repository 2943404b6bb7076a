'use strict';

// The client of the fabric endpoint, for browsers and for Node. It must stay without an import of Node's.

const { clientOptions, FIELDS, SUBMITTED } = require('./client/options.js');
const { Queue } = require('./client/queue.js');
const { isFinal, NORMAL, now, ReconnectingSocket } = require('./client/reconnecting-socket.js');
const { invalid } = require('./shared/errors.js');

const ACK_AFTER_MS = 500;

const report = (error) => console.error('A listener of the hub client failed', error);

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
  #kind = 'relay';

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

  get documentId() {
    return this.#options.documentId;
  }

  get clientID() {
    return this.#options.clientID;
  }

  get unacknowledged() {
    return this.#queue.length;
  }

  get kind() {
    return this.#kind;
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

  submit(type, fields = {}) {
    if (!SUBMITTED.includes(type)) invalid(`type ${type} is not one that is submitted`);
    if (this.#status.state !== 'open') return false;
    this.#socket.send(JSON.stringify({ ...fields, type, documentId: this.#options.documentId }));
    return true;
  }

  fits(type, ...values) {
    return this.#queue.fits(this.#message(type, values));
  }

  #message(type, values) {
    const fields = Object.hasOwn(FIELDS, type) ? FIELDS[type] : invalid(`type ${type} is not one a client sends`);
    const message = { type, documentId: this.#options.documentId };
    if (type === 'presence') return { ...values[0], ...message };
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
      // Not each is one more than the last: this client's own and those for others are left out. But they only rise,
      // except where a document keeps its updates: there they are sent once more to who asks by `sync`.
      const isNew = offset > this.#position.offset;
      if (this.#offered || !(isNew || this.#kind === 'updates')) return this.#distrust();
      if (isNew) this.#position.offset = offset;
    }
    if (type === 'error') this.#refused(message);
    this.#emit('message', message);
  }

  /** Takes what comes before a connection is of use: `connected`, and whether what was missed is made good. */
  #greet({ type, token, epoch, offset, from, to, reason, upTo, kind = 'relay' }) {
    if (type === 'connected') {
      this.#kind = kind;
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
    // A document that keeps its updates may have more of them than it remembers for recovery.
    const isSame = this.#position?.epoch === position?.epoch && reason !== 'BAD_OFFSET';
    const seen = isSame ? this.#position?.offset : undefined;
    this.#position = position;
    this.#doubt = '';
    if (!this.#wasOpen) return this.#open('connected', {}, 0);
    const count = this.#queue.acknowledge(upTo);
    const unacknowledged = this.#queue.clear();
    this.#open('reload', { reason, certain: upTo !== undefined, unacknowledged, seen }, count);
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
    // Steps on another version are no sign of too much: whoever sent them waits, and nothing else has to.
    if (!retryInMs || code === 'VERSION_MISMATCH') return;
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
