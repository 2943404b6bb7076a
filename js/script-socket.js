'use strict';

const { EventEmitter } = require('node:events');

const { attempt } = require('./faults.js');

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];

const NO_STATUS = 1005;
const MAX_CONTROL_BYTES = 125;
const MAX_REASON_BYTES = 123;
const EMPTY = Buffer.alloc(0);

/** Codes a close frame may carry: those of RFC 6455 and its registry, and those of libraries and applications. */
function isCloseCode(code) {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code < 5000)
  );
}

function toBuffer(data) {
  if (data === undefined || data === null) return EMPTY;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

function notOpen(state) {
  return new Error(`WebSocket is not open: readyState ${state} (${STATES[state]})`);
}

/**
 * A connection as its handler has it: what a server uses of npm `ws` 8, with its words and its errors.
 *
 * Handlers set properties on it, so everything of its own that `ws` does not have is private or a symbol.
 */
class ScriptSocket extends EventEmitter {
  #id;
  #wire;
  #endpoint;
  #protocol;
  #subpath;
  #state = OPEN;
  /** By number: promises and callbacks that wait for bytes to be written. */
  #waiting = new Map();

  /**
   * @param {number} id the connection's number
   * @param wire what carries its calls: see Wire in handlers.js
   * @param endpoint whose handler serves it
   * @param {{ protocol?: string, subpath: string }} told what its handshake has said
   */
  constructor(id, wire, endpoint, { protocol = '', subpath }) {
    super({ captureRejections: true });
    this.#protocol = protocol;
    this.#subpath = subpath;
    this.#id = id;
    this.#wire = wire;
    this.#endpoint = endpoint;
  }

  /** A listener has rejected. */
  [Symbol.for('nodejs.rejection')](error, event) {
    this.#failed(error, event === 'error');
  }

  #failed(thrown, inListener) {
    this.#wire.failed({ endpoint: this.#endpoint, socket: this, id: this.#id }, thrown, inListener);
  }

  get protocol() {
    return this.#protocol;
  }

  get subpath() {
    return this.#subpath;
  }

  get readyState() {
    return this.#state;
  }

  get bufferedAmount() {
    return this.#state === CLOSED ? 0 : this.#wire.native.bufferedBytes(this.#id);
  }

  send(data, options, done) {
    if (typeof options === 'function') [options, done] = [undefined, options];
    if (typeof data === 'number') data = String(data);
    const binary = options?.binary ?? typeof data !== 'string';
    const { native } = this.#wire;
    const isSent =
      this.#state === OPEN &&
      (binary
        ? native.sendBinary(this.#id, toBuffer(data))
        : native.sendText(this.#id, typeof data === 'string' ? data : toBuffer(data).toString()));
    if (isSent) this.#wire.flushSoon();
    // Its Closing has not been taken yet.
    else if (this.#state === OPEN) this.#state = CLOSING;
    if (done) this.#tellWhenSent(isSent, done);
  }

  #tellWhenSent(isSent, done) {
    const tell = (error) => {
      attempt(
        () => done(error),
        (thrown) => this.#failed(thrown),
      );
    };
    if (!isSent) return process.nextTick(tell, notOpen(this.#state));
    process.nextTick(async () => {
      tell((await this.flushed()) ? undefined : new Error('The socket was closed while data was being sent'));
    });
  }

  async flushed(belowBytes = 0) {
    if (!(belowBytes >= 0)) throw new RangeError(`belowBytes must be a number from 0, not ${String(belowBytes)}`);
    if (this.#state !== OPEN) return false;
    this.#wire.flush();
    if (this.bufferedAmount <= belowBytes) return true;
    return new Promise((resolve) => {
      const number = this.#wire.nextNumber();
      this.#waiting.set(number, resolve);
      this.#wire.native.whenFlushed(this.#id, belowBytes, number);
    });
  }

  ping(data, mask, done) {
    if (typeof data === 'function') [data, done] = [undefined, data];
    else if (typeof mask === 'function') done = mask;
    const payload = toBuffer(typeof data === 'number' ? String(data) : data);
    if (payload.length > MAX_CONTROL_BYTES) {
      throw new RangeError(`The data size must not be greater than ${MAX_CONTROL_BYTES} bytes`);
    }
    const isSent = this.#state === OPEN;
    if (isSent) this.#wire.native.ping(this.#id, payload);
    if (done) this.#tellWhenSent(isSent, done);
  }

  close(code, reason) {
    if (this.#state !== OPEN) return;
    if (code !== undefined && !(typeof code === 'number' && isCloseCode(code))) {
      throw new TypeError('First argument must be a valid error code number');
    }
    const text = code === undefined || reason === undefined ? '' : reason.toString();
    if (Buffer.byteLength(text) > MAX_REASON_BYTES) {
      throw new RangeError(`The message must not be greater than ${MAX_REASON_BYTES} bytes`);
    }
    this.#state = CLOSING;
    this.#wire.native.closeConnection(this.#id, code ?? NO_STATUS, text);
  }

  terminate() {
    if (this.#state === CLOSED) return;
    this.#state = CLOSING;
    this.#wire.native.terminate(this.#id);
  }

  /** What the native side says of the connection; not for handlers. */
  static closing(socket) {
    if (socket.#state === OPEN) socket.#state = CLOSING;
  }

  static closed(socket) {
    socket.#state = CLOSED;
    for (const resolve of socket.#waiting.values()) resolve(false);
    socket.#waiting.clear();
  }

  static flushed(socket, number) {
    socket.#waiting.get(number)?.(socket.#state === OPEN);
    socket.#waiting.delete(number);
  }
}

for (const [value, name] of STATES.entries()) {
  const constant = { value, enumerable: true };
  Object.defineProperty(ScriptSocket, name, constant);
  Object.defineProperty(ScriptSocket.prototype, name, constant);
}

module.exports = { ScriptSocket };
