'use strict';

// Handlers in TypeScript: takes what happened on their connections from the native side in batches and calls them.

const { asError, attempt, describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { pathOf, serving, subpathOf } = require('./paths.js');
const { HandlerCalls } = require('./handler-calls.js');
const { HandlerSocket } = require('./handler-socket.js');
const { WriteBatcher } = require('./write-batcher.js');
const { anyId, endpointPath, wellFormed } = require('../shared/arguments.js');
const { invalid } = require('../shared/errors.js');

/** Kinds of events, in the order of src/binding/script.rs. */
const OPEN = 0;
const REFUSED = 1;
const TEXT = 2;
const BINARY = 3;
const PONG = 4;
const FLUSHED = 5;
const CLOSING = 6;
const CLOSED = 7;
const SLOW = 8;
const SENT = 9;
const HEARD = 10;
const FIELDS = 3;

const INTERNAL_ERROR = 1011;
const SERVICE_RESTART = 1012;
const ABNORMAL = 1006;

/** How long after what had come could not be taken it is tried again. */
const RETRY_MS = 100;

/** How long `onClose` waits for an `onConnect` that has not settled. */
const CONNECT_GRACE_MS = 10_000;

/** What is sent as text, or the bytes of what is sent as binary. */
function textOrBytes(value, name) {
  if (typeof value === 'string') return wellFormed(value, name);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return invalid(`${name} must be a string, a Buffer, an ArrayBuffer or a view of one`);
}

/** A connection: its socket, the endpoint whose handler serves it, and what waits for `onConnect`. */
class Served {
  /** Events that came before `onConnect` had settled; none after. */
  early = [];
  /** Whether `onConnect` has failed: nothing more is handed on but the close. */
  failed = false;
  /** `{ code, reason }`, once the connection is closed. */
  ending;
  /** Ends the wait of `onClose` for `onConnect`. */
  giveUp;
  closeTimer;

  constructor(id, endpoint, socket) {
    this.id = id;
    this.endpoint = endpoint;
    this.socket = socket;
  }
}

class Handlers {
  #native;
  #batcher;
  #logs;
  /** By path: `{ path, handler }`, the handler replaced when another is registered. */
  #endpoints = new Map();
  /** By connection: requests whose connections have not opened. */
  #requests = new Map();
  /** By connection. */
  #served = new Map();
  /** Closed connections whose `onConnect` has not settled. */
  #unsettled = new Set();
  /** `onClose` calls that have not settled. */
  #closing = new Set();
  #isFinished = false;
  /** What other processes say to handlers; undefined where there are none. */
  channels;
  /** What is counted of their calls. */
  calls = new HandlerCalls();

  constructor(native, logs) {
    this.#native = native;
    this.#batcher = new WriteBatcher(native, (...fault) => this.#failed(...fault));
    this.#logs = logs;
  }

  /** Serves a handler's path by it from now on, also the connections that are open. */
  serve(handler) {
    const { path } = handler;
    const endpoint = this.#endpoints.get(path);
    if (endpoint) {
      endpoint.handler = handler;
    } else {
      this.#native.serve(path);
      this.#endpoints.set(path, { path, handler });
    }
  }

  /**
   * Publishes to a room of the endpoint at `path`; leaves with what is sent in this turn.
   *
   * @param {string | Uint8Array} message text, or binary
   * @param [except] the socket that does not get it
   * @returns how many members it is for
   */
  publish(path, room, given, except) {
    // Checked here and not where it is called, so that no route's bundle has the checks in it.
    const message = textOrBytes(given, 'message');
    endpointPath(path, 'path');
    anyId(room, 'room');
    const id = except === undefined ? undefined : HandlerSocket.idOf(except);
    const count =
      typeof message === 'string'
        ? this.#native.publishText(path, room, message, id)
        : this.#native.publishBinary(path, room, message, id);
    if (count > 0) this.#batcher.flushSoon();
    return count;
  }

  /** Resolves once what was published to a room so far has been sent to its members, or waits for them. */
  whenSent(path, room) {
    return this.#batcher.whenSent(path, room);
  }

  /** The handler that serves a request's path; undefined where none does. */
  handlerOf(request) {
    return this.#endpointOf(request)?.handler;
  }

  #endpointOf(request) {
    return this.#endpoints.get(serving(this.#endpoints, pathOf(request.url)));
  }

  /**
   * Keeps the request of a connection for its `onConnect`.
   *
   * @param {string | undefined} user the session's
   * @param {string | undefined} protocol the subprotocol it was answered with
   */
  announce(id, request, user, protocol) {
    const endpoint = this.#endpointOf(request);
    if (!endpoint) return;
    // Node forgets the peer's address with the socket's handle, unless somebody has asked for it.
    void request.socket.remoteAddress;
    this.#requests.set(id, { request, endpoint, user, protocol });
  }

  /** Handles what has happened. Called by the native side, when there is something. */
  dispatch = () => {
    let events;
    try {
      events = this.#native.take();
    } catch (error) {
      // Called by nobody who could catch it, it would end the process. No ring comes before what waits was taken.
      this.#log(`events could not be taken: ${describe(error)}`);
      if (!this.#isFinished) setTimeout(this.dispatch, RETRY_MS).unref();
      return false;
    }
    this.#batcher.inBatch = true;
    this.calls.begin();
    for (let at = 1; at < events.length; at += FIELDS) {
      try {
        this.#handle(events[at], events[at + 1], events[at + 2]);
      } catch (error) {
        this.#log(`an event was not handled: ${describe(error)}`);
      }
    }
    this.#batcher.inBatch = false;
    this.#batcher.flush();
    if (events[0]) setImmediate(this.dispatch);
    return events[0];
  };

  #handle(kind, id, value) {
    if (kind === OPEN) return this.#open(id);
    if (kind === REFUSED) return this.#requests.delete(id);
    if (kind === SENT) return this.#batcher.sent(value);
    if (kind === HEARD) return this.channels?.heard(value);
    const served = this.#served.get(id);
    if (!served) return undefined;
    const { socket } = served;
    switch (kind) {
      case TEXT:
      case BINARY:
        if (served.early) return served.early.push(value);
        return HandlerSocket.receive(socket, value);
      case PONG:
        return this.#emit(served, 'pong', value);
      case FLUSHED:
        return HandlerSocket.flushed(socket, value);
      case SLOW:
        return this.#emit(served, 'slow', value);
      case CLOSING:
        return HandlerSocket.closing(socket);
      case CLOSED:
        return this.#closed(served, value.readUInt16BE(0), value.subarray(2));
    }
  }

  #open(id) {
    const announced = this.#requests.get(id);
    if (!announced) {
      // Its path got its handler while it was on its way, so nobody has kept its request. It may come again.
      return this.#native.closeConnection(id, SERVICE_RESTART, 'Service restart');
    }
    this.#requests.delete(id);
    const { request, endpoint, user, protocol } = announced;
    const told = { protocol, subpath: subpathOf(endpoint.path, pathOf(request.url)), request };
    const served = new Served(id, endpoint, new HandlerSocket(id, this.#batcher, endpoint, told));
    HandlerSocket.serve(served.socket, (message) => this.#message(served, message));
    this.#served.set(id, served);
    if (user !== undefined) served.socket.userId = user;
    this.#call(
      served,
      'onConnect',
      () => endpoint.handler.onConnect(served.socket, request),
      () => this.#connected(served),
      () => {
        served.failed = true;
        served.socket.close(INTERNAL_ERROR, 'Internal error');
        this.#connected(served);
      },
    );
  }

  /** `onConnect` has settled: hands on what came meanwhile. */
  #connected(served) {
    const { early } = served;
    // Closed, and not waited for any longer.
    if (!early) return;
    served.early = undefined;
    if (!served.socket.isPaused) this.#native.ready(served.id);
    for (const message of early) HandlerSocket.receive(served.socket, message);
    if (served.ending) this.#ended(served);
  }

  #message(served, message) {
    if (served.failed) return;
    const { socket } = served;
    this.#call(served, 'onMessage', () => served.endpoint.handler.onMessage(socket, message));
    if (socket.listenerCount('message') > 0) {
      try {
        HandlerSocket.emitMessage(socket, message);
      } catch (error) {
        this.#failed(served, error);
      }
      this.calls.end('listeners');
    }
  }

  #closed(served, code, reason) {
    this.#served.delete(served.id);
    HandlerSocket.closed(served.socket);
    served.ending = { code, reason };
    this.#emit(served, 'close', code, reason);
    if (!served.early) return this.#ended(served);
    served.giveUp = () => {
      served.early = undefined;
      this.#ended(served);
    };
    this.#unsettled.add(served);
    served.closeTimer = setTimeout(served.giveUp, CONNECT_GRACE_MS).unref();
  }

  #ended(served) {
    const { code, reason } = served.ending;
    clearTimeout(served.closeTimer);
    this.#unsettled.delete(served);
    let settled;
    const settles = new Promise((resolve) => (settled = resolve));
    this.#closing.add(settles);
    const done = () => {
      this.#closing.delete(settles);
      settled();
    };
    const { handler } = served.endpoint;
    this.#call(served, 'onClose', () => handler.onClose(served.socket, code, reason), done, done);
  }

  #emit(served, event, ...args) {
    try {
      served.socket.emit(event, ...args);
    } catch (error) {
      this.#failed(served, error);
    }
  }

  /** Calls a handler; a throw or a rejection is its own affair and nobody else's. */
  #call(served, name, callback, succeeded, failed) {
    const fail = (thrown) => {
      this.#failed(served, thrown);
      failed?.();
    };
    if (!this.#batcher.inBatch) this.calls.begin();
    const counted = () => {
      try {
        return callback();
      } finally {
        this.calls.end(name);
      }
    };
    attempt(counted, fail, succeeded);
  }

  /** @param {boolean} inListener whether it was an `'error'` listener, which would only fail again */
  #failed({ endpoint, socket, id }, thrown, inListener = false) {
    const where = `the handler of ${endpoint.path}, connection #${id}`;
    this.#log(`${where}: ${describe(thrown)}`);
    this.calls.failed += 1;
    if (inListener) return;
    const error = asError(thrown);
    const again = (second) => this.#log(`${where}, in onError: ${describe(second)}`);
    this.calls.begin();
    attempt(() => endpoint.handler.onError(socket, error), again);
    this.calls.end('onError');
    try {
      // Without a listener it would be thrown here.
      if (socket.listenerCount('error') > 0) socket.emit('error', error);
    } catch (second) {
      again(second);
    }
  }

  /** Sees to the end of every connection once the native side has closed them, and waits for `onClose` that long. */
  async finish(timeoutMs) {
    this.#isFinished = true;
    while (this.dispatch());
    for (const served of [...this.#served.values()]) this.#closed(served, ABNORMAL, Buffer.alloc(0));
    for (const served of [...this.#unsettled]) served.giveUp();
    this.#requests.clear();
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, Math.max(0, timeoutMs))));
    await Promise.race([Promise.all(this.#closing), late]);
    clearTimeout(timer);
  }

  #log(text) {
    if (this.#logs) log('error', text);
  }
}

module.exports = { Handlers };
