'use strict';

const { fromNative, invalid } = require('./errors.js');
const { loadNative } = require('./native.js');
const { hubOptions, whole } = require('./options.js');
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

function createHub(options) {
  const checked = hubOptions(options);
  if (runningHub()) invalid('a hub runs in this process already; close it first');
  const { NativeHub } = loadNative();
  const native = guarded(() => new NativeHub(checked))();
  return new Hub(native, checked);
}

class Hub {
  #native;
  #options;
  #closing;
  #registered;
  #detachers = new Set();

  constructor(native, options) {
    this.#native = native;
    this.#options = options;
    this.#registered = {
      publish: guarded((documentId, clientID, message) => native.publish(documentId, clientID, message)),
      broadcast: guarded((path, message) => native.broadcast(path, message)),
      connectionCount: (name) => native.connectionCount(name),
      endpointCount: (path) => native.endpointCount(path),
      documents: () => native.documents(),
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
    const fail = (cause) => {
      const { code, message } = fromNative(cause);
      // EMFILE is the likely one: Node still has the socket and can say so.
      if (this.#options.logLevel !== 'off') {
        process.stderr.write(`[hub] error: an upgrade was refused: ${message} (${code})\n`);
      }
      refuse(socket, 503, code === 'HUB_CLOSED' ? RESTARTING : 'The server cannot take another connection.');
    };
    try {
      takeOver(this.#native, this.#options, request, socket, head, fail);
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
    const terminated = await this.#native.close(timeoutMs);
    this.#native.discard();
    for (const detach of this.#detachers) detach();
    unregister(this.#registered);
    return { terminated };
  }
}

module.exports = { createHub };
