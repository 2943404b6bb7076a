// One client's connections by hand, which trust nothing: every message of their beginning is checked against what may come there.
import WebSocket from 'ws';
import { between } from './seeded.mjs';

/** What is told of a connection: `opened(upTo)`, `reloaded(upTo)` before that, `heard(message)`, `lost()`; and `isWaiting`. */
export class WireConnection {
  ended = false;
  /** Token, epoch and offset; null before the first `connected`. */
  position = null;
  #phase = 'away';
  #socket = null;
  #timer;
  #watch;
  #heardAt = 0;
  #offered;
  /** The offset of the last message, or where the first would have followed. */
  seen = -1;

  /** @param log where everything goes that is judged in the end; see log.mjs */
  constructor({ documentId, kind, clientID, base, random, mayStayAway, patienceMs, log }) {
    Object.assign(this, { documentId, kind, clientID, base, random, mayStayAway, patienceMs, log });
  }

  get isOpen() {
    return this.#phase === 'open';
  }

  get offset() {
    return this.isOpen ? this.seen : -1;
  }

  connect() {
    const query = new URLSearchParams({ documentId: this.documentId, clientID: this.clientID, ...this.position });
    const socket = new WebSocket(`${this.base}/ws/fabric?${query}`);
    this.#socket = socket;
    this.#phase = 'greeting';
    this.#heardAt = Date.now();
    socket.on('message', (data) => this.#socket === socket && this.#receive(JSON.parse(data.toString())));
    socket.on('close', (code) => this.#socket === socket && this.#lost(code));
    socket.on('error', () => {});
    this.#watch ??= setInterval(() => this.#look(), this.patienceMs / 6);
  }

  end() {
    this.ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.terminate();
  }

  write(message) {
    this.#socket.send(JSON.stringify({ documentId: this.documentId, ...message }));
  }

  /** Takes the offset of a message, which must be above the last. */
  takeOffset(offset) {
    if (!Number.isSafeInteger(offset) || offset <= this.position.offset) {
      this.log.wrong(`offset ${offset} after ${this.position.offset}`);
    }
    this.position.offset = this.seen = offset;
  }

  /** Takes the offset of an `ack`, up to which there is nothing else for this client. */
  takeAcknowledged(offset) {
    if (!(offset >= this.position.offset)) this.log.wrong(`ack at ${offset} after ${this.position.offset}`);
    this.position.offset = offset;
  }

  /** Gives up a hub that is silent, and asks for what is not acknowledged. */
  #look() {
    const silent = Date.now() - this.#heardAt;
    if (this.#socket === null) return;
    if (silent > this.patienceMs) this.#lost(0);
    else if (this.isOpen && (silent > this.patienceMs / 2 || this.isWaiting)) this.write({ type: 'ack' });
  }

  #lost(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#phase = 'away';
    socket.terminate();
    this.log.closed(code);
    if ([1002, 1003, 1007, 1008, 1009].includes(code)) this.log.wrong(`closed with ${code}`);
    if (this.ended) return;
    this.lost();
    const isLong = this.mayStayAway() && this.random() < 0.2;
    this.#timer = setTimeout(
      () => this.connect(),
      isLong ? between(this.random, 4000, 8000) : between(this.random, 0, 400),
    );
  }

  #receive(message) {
    this.#heardAt = Date.now();
    if (this.#phase === 'greeting') this.#greeted(message);
    else if (this.#phase === 'verdict') this.#judged(message);
    else this.heard(message);
  }

  #greeted({ type, clientID, documentId, token, epoch, offset }) {
    if (type !== 'connected' || clientID !== this.clientID || documentId !== this.documentId) {
      this.log.wrong(`${type} where connected was due`);
    }
    if (typeof token !== 'string' || !/^[0-9a-f]{16}$/.test(epoch) || !Number.isSafeInteger(offset) || offset < 0) {
      this.log.wrong(`no position: ${token} ${epoch} ${offset}`);
    }
    this.#offered = { token, epoch, offset };
    if (this.position) this.#phase = 'verdict';
    else this.#begin();
  }

  #judged({ type, from, to, upTo, reason }) {
    if (type === 'recovered') {
      const { epoch, offset } = this.#offered;
      if (epoch !== this.position.epoch) this.log.wrong('recovered in another epoch');
      if (from !== this.position.offset) this.log.wrong(`recovered from ${from} and not ${this.position.offset}`);
      if (!(to >= from) || to !== offset) this.log.wrong(`recovered to ${to} where the document is at ${offset}`);
      if (!Number.isSafeInteger(upTo)) this.log.wrong(`recovered up to ${upTo}`);
      this.position.token = this.#offered.token;
      this.log.recovered(from, to);
      this.#open(upTo);
    } else if (type === 'reload') {
      if (typeof reason !== 'string') this.log.wrong('reload without a reason');
      const labels = this.reloaded(upTo);
      this.log.reloaded(reason, { certain: upTo !== undefined, labels });
      this.#begin();
    } else {
      this.log.wrong(`${type} where a verdict was due`);
    }
  }

  #begin() {
    this.position = this.#offered;
    this.seen = this.#offered.offset;
    this.log.began(this.position);
    this.#open(0);
  }

  #open(upTo) {
    this.#phase = 'open';
    this.opened(upTo);
  }
}
