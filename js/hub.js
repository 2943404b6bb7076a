'use strict';

const { fromNative, invalid } = require('./errors.js');
const { loadNative } = require('./native.js');
const { Handlers } = require('./handlers.js');
const { definitions } = require('./definitions.js');
const { hubOptions, whole } = require('./options.js');
const { Readiness } = require('./readiness.js');
const { refuse } = require('./refuse.js');
const { register, runningHub, unregister } = require('./registry.js');
const { takeOver } = require('./upgrade.js');

const PREFIX = '/ws';
const DEFAULT_CLOSE_MS = 5000;
const RESTARTING = 'The server is restarting.';

function owns(url) {
  const path = url?.split(/[?#]/, 1)[0];
  return path === PREFIX || Boolean(path?.startsWith(`${PREFIX}/`));
}

/** Calls the native side with its errors made ours. */
function guarded(call) {
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      throw fromNative(error);
    }
  };
}

/**
 * @param options as the app gave them
 * @param {(request) => Promise<void> | undefined} [whenRegistered] what an upgrade waits for: that the app has registered
 *   its handlers
 */
function createHub(options, whenRegistered = () => undefined) {
  const checked = hubOptions(options);
  if (runningHub()) invalid('a hub runs in this process already; close it first');
  const { NativeHub } = loadNative();
  let handlers;
  const native = guarded(() => new NativeHub(checked, () => handlers.dispatch()))();
  handlers = new Handlers(native, checked.logLevel !== 'off');
  return new Hub(native, checked, handlers, whenRegistered);
}

class Hub {
  #native;
  #options;
  #handlers;
  #readiness;
  #whenRegistered;
  #closing;
  #registered;
  #detachers = new Set();

  constructor(native, options, handlers, whenRegistered) {
    this.#native = native;
    this.#options = options;
    this.#handlers = handlers;
    this.#whenRegistered = whenRegistered;
    this.#readiness = new Readiness(options.registrationTimeoutMs);
    const serve = guarded((handler) => handlers.serve(handler));
    for (const handler of definitions()) serve(handler);
    this.#registered = {
      publish: guarded((documentId, clientID, message) => native.publish(documentId, clientID, message)),
      broadcast: guarded((path, message) => native.broadcast(path, message)),
      connectionCount: (name) => native.connectionCount(name),
      endpointCount: (path) => native.endpointCount(path),
      documents: () => native.documents(),
      serve,
    };
    register(this.#registered);
  }

  owns(url) {
    return owns(url);
  }

  get paths() {
    return this.#native.paths();
  }

  attach(server) {
    const onUpgrade = (request, socket, head) => {
      if (owns(request.url)) this.upgrade(request, socket, head);
      // Node leaves an upgrade open for ever where no listener answers it.
      else if (server.listenerCount('upgrade') === 1) refuse(socket, 404, 'Nobody serves this upgrade.');
    };
    server.on('upgrade', onUpgrade);
    const detach = () => {
      server.off('upgrade', onUpgrade);
      this.#detachers.delete(detach);
    };
    this.#detachers.add(detach);
    return detach;
  }

  upgrade(request, socket, head) {
    if (this.#closing) return refuse(socket, 503, RESTARTING);
    const registered = this.#whenRegistered(request);
    if (!registered) return this.#take(request, socket, head);
    this.#readiness.park(registered, socket, (refusal) => {
      if (refusal) refuse(socket, 503, refusal);
      else this.#take(request, socket, head);
    });
  }

  #take(request, socket, head) {
    const fail = (cause) => {
      const { code, message } = fromNative(cause);
      // EMFILE is the likely one: Node still has the socket and can say so.
      if (this.#options.logLevel !== 'off') {
        process.stderr.write(`[hub] error: an upgrade was refused: ${message} (${code})\n`);
      }
      refuse(socket, 503, code === 'HUB_CLOSED' ? RESTARTING : 'The server cannot take another connection.');
    };
    try {
      const id = takeOver(this.#native, this.#options, request, socket, head, fail);
      if (id !== undefined) this.#handlers.announce(id, request);
    } catch (error) {
      fail(error);
    }
  }

  close({ timeoutMs = DEFAULT_CLOSE_MS } = {}) {
    try {
      whole(timeoutMs, 'timeoutMs');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs) {
    const deadline = performance.now() + timeoutMs;
    this.#readiness.close(RESTARTING);
    const terminated = await this.#native.close(timeoutMs);
    await this.#handlers.finish(deadline - performance.now());
    this.#native.discard();
    for (const detach of this.#detachers) detach();
    unregister(this.#registered);
    return { terminated };
  }
}

module.exports = { createHub };
