'use strict';

const { isAnswered } = require('../http/dispatch.js');
const { asksForWebSocket } = require('../http/offers.js');
const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { refuse, refuseLater } = require('../http/refuse.js');
const { toOriginForm } = require('../http/target.js');

const NOBODY = 'Nobody serves this upgrade.';

/** How long another listener of the server may take to answer what Next does not serve. */
const OTHERS_MS = 10_000;

/** How long the server behind a rewrite may take to answer. Next itself waits for ever. */
const REWRITE_MS = 60_000;

/**
 * Gives upgrades that are not the hub's to Next: in development its HMR socket, under whatever path this version has,
 * and what `rewrites()` sends to another server.
 *
 * Next's `app.upgradeHandler` is undocumented but the only handler that works in a custom server from 15.1 to 16.4:
 * `getUpgradeHandler()` does nothing there, and Next's own listener is added only with the first page request. What it
 * does not serve it leaves open for ever or ends without a word; that is answered here.
 */
class NextUpgrades {
  #app;
  #decoy;
  #server;
  #sockets = new Set();

  /**
   * @param app the Next app
   * @param {import('node:events').EventEmitter} decoy what `app` took for the HTTP server
   * @param {import('node:http').Server} server the real one; its other listeners may serve what Next does not
   */
  constructor(app, decoy, server) {
    this.#app = app;
    this.#decoy = decoy;
    this.#server = server;
    if (typeof app.upgradeHandler === 'function' || decoy.listenerCount('upgrade') > 0) return;
    log(
      'warn',
      'this version of Next takes no upgrades from a custom server (app.upgradeHandler is missing): hot reload and ' +
        'rewrites of WebSockets do not work',
    );
  }

  /** @param {number} before what the socket had sent when the upgrade came */
  handle(request, socket, head, before) {
    this.#track(socket);
    // The other listeners are called in this turn, and one may have answered by then.
    process.nextTick(() => {
      if (isAnswered(socket, before)) return;
      if (socket._httpMessage) refuseLater(socket);
      else void this.#ask(request, socket, head);
    });
  }

  async #ask(request, socket, head) {
    toOriginForm(request);
    // Next and `ws` look for nothing else in that header, where a client may offer several.
    if (asksForWebSocket(request)) request.headers.upgrade = 'websocket';
    const othersListen = this.#server.listenerCount('upgrade') > 1;
    const answer = new Answer(socket, othersListen);
    try {
      if (typeof this.#app.upgradeHandler === 'function') {
        await this.#app.upgradeHandler(request, socket, head);
      } else {
        this.#decoy.emit('upgrade', request, socket, head);
      }
    } catch (error) {
      log('error', `Next failed to serve an upgrade of ${request.url}: ${describe(error)}`);
    }
    if (answer.isGiven) return;
    if (answer.isComing) return answer.expect(REWRITE_MS, 504, 'The server behind this rewrite did not answer.');
    answer.expect(othersListen ? OTHERS_MS : 0, 404, NOBODY);
  }

  /** Drops the sockets Next has: server.close() would wait for them, and closeAllConnections() does not know them. */
  destroy() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #track(socket) {
    this.#sockets.add(socket);
    // Nobody else listens until Next does: a reset would be an uncaught exception.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/**
 * Watches what is answered on a socket until the first byte, and makes an answer in HTTP of what is none: Next ends what
 * it refuses without a word, or with a text alone. Where another listener may answer, what Next does not know is its.
 */
class Answer {
  #socket;
  #restore;
  #timer;
  /** Whether there is an answer, or nobody to give it to. */
  isGiven = false;
  /** Whether a proxy has taken the socket, which prepares it before it connects and answers later. */
  isComing = false;
  #isDecided = false;

  constructor(socket, othersListen) {
    this.#socket = socket;
    const { end, write, setKeepAlive } = socket;
    this.#restore = () => Object.assign(socket, { end, write, setKeepAlive });
    socket.setKeepAlive = (...args) => {
      this.isComing = true;
      return setKeepAlive.apply(socket, args);
    };
    // Next's own WebSockets, still to come, answer 404 to every upgrade that Next does not know.
    const isPassedOver = (text) => othersListen && !this.#isDecided && /^HTTP\/1\.1 404 /.test(String(text));
    socket.write = (...args) => {
      if (isPassedOver(args[0])) return true;
      this.#settle();
      return socket.write(...args);
    };
    socket.end = (...args) => {
      if (!isPassedOver(args[0])) this.#end(args);
      return socket;
    };
    socket.once('close', () => this.#settle());
  }

  /** Refuses what is not answered within `timeoutMs`. */
  expect(timeoutMs, status, text) {
    this.#isDecided = true;
    if (timeoutMs === 0) return this.#refuse(status, text);
    this.#timer = setTimeout(() => this.#refuse(status, text), timeoutMs);
    this.#timer.unref();
  }

  #end(args) {
    const [text] = args;
    if (typeof text !== 'string' && !ArrayBuffer.isView(text)) {
      // Without a word: Next does not serve it, and somebody else may; or another listener ends what a proxy is about
      // to answer, as engine.io does after a second.
      if (this.#isDecided && !this.isComing) this.#refuse(404, NOBODY);
      return;
    }
    if (String(text).startsWith('HTTP/')) {
      this.#settle();
      this.#socket.end(...args);
    } else if (this.isComing) {
      this.#refuse(502, 'The server behind this rewrite could not be reached.');
    } else {
      this.#refuse(403, String(text));
    }
  }

  #refuse(status, text) {
    if (this.isGiven) return;
    this.#settle();
    refuse(this.#socket, status, text);
  }

  #settle() {
    if (this.isGiven) return;
    this.isGiven = true;
    clearTimeout(this.#timer);
    this.#restore();
  }
}

module.exports = { NextUpgrades };
