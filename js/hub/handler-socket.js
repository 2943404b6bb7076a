'use strict';

const { EventEmitter } = require('node:events');

const { invalid } = require('../shared/errors.js');
const { fromNative } = require('./native.js');
const { anyId } = require('../shared/arguments.js');
const { attempt } = require('../shared/callbacks.js');
const { isSendable } = require('./close-codes.js');
const { addBrowserEvents, asBinaryType, BINARY_TYPES } = require('./ws-events.js');

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];

const NO_STATUS = 1005;
const MAX_CONTROL_BYTES = 125;
const MAX_REASON_BYTES = 123;
const EMPTY = Buffer.alloc(0);

function toBuffer(data) {
  if (data === undefined || data === null) return EMPTY;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

function controlPayload(data) {
  const payload = toBuffer(typeof data === 'number' ? String(data) : data);
  if (payload.length > MAX_CONTROL_BYTES) {
    throw new RangeError(`The data size must not be greater than ${MAX_CONTROL_BYTES} bytes`);
  }
  return payload;
}

function notOpen(state) {
  return new Error(`WebSocket is not open: readyState ${state} (${STATES[state]})`);
}

/** What stands below a socket of `ws`, as far as libraries look at it: its address, and whether all of it was written. */
class Below extends EventEmitter {
  _writableState = { finished: false };
  remoteAddress;

  end() {
    this._writableState.finished = true;
    this.emit('finish');
  }
}

/**
 * A connection as its handler has it: what a server uses of npm `ws` 8, with its words and its errors.
 *
 * Handlers set properties on it, so but for `data` everything of its own that `ws` does not have is private or a symbol.
 */
class HandlerSocket extends EventEmitter {
  /** The handler's own. */
  data = {};
  #id;
  #batcher;
  #endpoint;
  #protocol;
  #subpath;
  #state = OPEN;
  /** By number: promises and callbacks that wait for bytes to be written. */
  #waiting = new Map();
  #binaryType = 'nodebuffer';
  #isPaused = false;
  /** Messages that came while it was paused and have not been handed on since, in order. */
  #held = [];
  /** Hands a message on: see Handlers#message. */
  #deliver;
  #below = new Below();

  /**
   * @param {number} id the connection's number
   * @param batcher what carries its calls: see WriteBatcher in write-batcher.js
   * @param endpoint whose handler serves it
   * @param {{ protocol?: string, subpath: string, request: object }} told what its handshake has said
   */
  constructor(id, batcher, endpoint, { protocol = '', subpath, request }) {
    super({ captureRejections: true });
    this.#protocol = protocol;
    this.#subpath = subpath;
    this.#below.remoteAddress = request?.socket?.remoteAddress;
    this.#id = id;
    this.#batcher = batcher;
    this.#endpoint = endpoint;
  }

  /** A listener has rejected. */
  [Symbol.for('nodejs.rejection')](error, event) {
    this.#failed(error, event === 'error');
  }

  #failed(thrown, inListener) {
    this.#batcher.failed({ endpoint: this.#endpoint, socket: this, id: this.#id }, thrown, inListener);
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
    return this.#state === CLOSED ? 0 : this.#batcher.native.bufferedBytes(this.#id);
  }

  /** The hub negotiates none. */
  get extensions() {
    return '';
  }

  get binaryType() {
    return this.#binaryType;
  }

  set binaryType(type) {
    if (!BINARY_TYPES.includes(type))
      invalid(`binaryType must be one of ${BINARY_TYPES.join(', ')}, not ${String(type)}`);
    this.#binaryType = type;
  }

  get isPaused() {
    return this.#isPaused && this.#state !== CLOSED;
  }

  /** Libraries look at it for the end of what they wrote, and for the address. */
  get _socket() {
    return this.#below;
  }

  pause() {
    if (this.#state === CLOSED || this.#isPaused) return;
    this.#isPaused = true;
    // What comes meanwhile counts as unread, so the inbox is its bound: the peer waits behind it.
    this.#batcher.native.hold(this.#id);
  }

  resume() {
    if (this.#state === CLOSED || !this.#isPaused) return;
    this.#isPaused = false;
    process.nextTick(() => this.#handOn());
  }

  #handOn() {
    // Who is given a message may pause again.
    while (this.#held.length > 0 && !this.#isPaused) this.#deliver(this.#held.shift());
    if (!this.#isPaused && this.#state !== CLOSED) this.#batcher.native.ready(this.#id);
  }

  send(data, options, done) {
    if (typeof options === 'function') [options, done] = [undefined, options];
    if (options?.fin === false) invalid('a message cannot be sent in fragments: pass it whole, without fin: false');
    if (options?.mask) invalid('a server does not mask what it sends (RFC 6455, section 5.1): leave out mask');
    if (typeof data === 'number') data = String(data);
    const binary = options?.binary ?? typeof data !== 'string';
    const { native } = this.#batcher;
    const isSent =
      this.#state === OPEN &&
      (binary
        ? native.sendBinary(this.#id, toBuffer(data))
        : native.sendText(this.#id, typeof data === 'string' ? data : toBuffer(data).toString()));
    if (isSent) this.#batcher.flushSoon();
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
    this.#batcher.flush();
    if (this.bufferedAmount <= belowBytes) return true;
    return new Promise((resolve) => {
      const number = this.#batcher.nextNumber();
      this.#waiting.set(number, resolve);
      this.#batcher.native.whenFlushed(this.#id, belowBytes, number);
    });
  }

  join(room, { slowAboveBytes = Infinity } = {}) {
    anyId(room, 'room');
    if (!(slowAboveBytes >= 0)) invalid(`slowAboveBytes must be a number from 0, not ${String(slowAboveBytes)}`);
    if (this.#state !== OPEN) return false;
    try {
      return this.#batcher.native.join(this.#id, room, slowAboveBytes);
    } catch (error) {
      throw fromNative(error);
    }
  }

  leave(room) {
    anyId(room, 'room');
    return this.#state === OPEN && this.#batcher.native.leave(this.#id, room);
  }

  ping(data, mask, done) {
    if (typeof data === 'function') [data, done] = [undefined, data];
    else if (typeof mask === 'function') done = mask;
    const payload = controlPayload(data);
    const isSent = this.#state === OPEN;
    if (isSent) this.#batcher.native.ping(this.#id, payload);
    if (done) this.#tellWhenSent(isSent, done);
  }

  pong(data, mask, done) {
    if (typeof data === 'function') [data, done] = [undefined, data];
    else if (typeof mask === 'function') done = mask;
    const isSent = this.#state === OPEN;
    const payload = controlPayload(data);
    if (isSent) this.#batcher.native.pong(this.#id, payload);
    if (done) this.#tellWhenSent(isSent, done);
  }

  close(code, reason) {
    if (this.#state !== OPEN) return;
    if (code !== undefined && !(typeof code === 'number' && isSendable(code))) {
      throw new TypeError('First argument must be a valid error code number');
    }
    const text = code === undefined || reason === undefined ? '' : reason.toString();
    if (Buffer.byteLength(text) > MAX_REASON_BYTES) {
      throw new RangeError(`The message must not be greater than ${MAX_REASON_BYTES} bytes`);
    }
    this.#state = CLOSING;
    this.#batcher.native.closeConnection(this.#id, code ?? NO_STATUS, text);
  }

  terminate() {
    if (this.#state === CLOSED) return;
    this.#state = CLOSING;
    this.#batcher.native.terminate(this.#id);
  }

  /** The connection's number; refuses what is no socket of a handler. */
  static idOf(socket) {
    if (typeof socket !== 'object' || socket === null || !(#id in socket))
      invalid('except must be the ws of a handler');
    return socket.#id;
  }

  /** What the native side says of the connection; not for handlers. */
  static closing(socket) {
    if (socket.#state === OPEN) socket.#state = CLOSING;
  }

  /** @param deliver hands a message on */
  static serve(socket, deliver) {
    socket.#deliver = deliver;
  }

  /** A message came: hands it on, or keeps it while the socket is paused. */
  static receive(socket, message) {
    // Those before it may be about to be handed on.
    if (socket.#isPaused || socket.#held.length > 0) socket.#held.push(message);
    else socket.#deliver(message);
  }

  /** Emits a message to listeners, as `ws` does it. */
  static emitMessage(socket, message) {
    const isBinary = typeof message !== 'string';
    const data = isBinary ? message : Buffer.from(message);
    socket.emit('message', isBinary ? asBinaryType(socket.#binaryType, data) : data, isBinary);
  }

  static closed(socket) {
    // What came before the close comes before it, paused or not; there is nothing left to hold back.
    socket.#isPaused = false;
    for (const message of socket.#held.splice(0)) socket.#deliver(message);
    socket.#state = CLOSED;
    socket.#below.end();
    for (const resolve of socket.#waiting.values()) resolve(false);
    socket.#waiting.clear();
  }

  static flushed(socket, number) {
    socket.#waiting.get(number)?.(socket.#state === OPEN);
    socket.#waiting.delete(number);
  }
}

addBrowserEvents(HandlerSocket);

for (const [value, name] of STATES.entries()) {
  const constant = { value, enumerable: true };
  Object.defineProperty(HandlerSocket, name, constant);
  Object.defineProperty(HandlerSocket.prototype, name, constant);
}

module.exports = { HandlerSocket };
