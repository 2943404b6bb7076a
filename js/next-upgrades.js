'use strict';

const { describe } = require('./faults.js');
const { refuse } = require('./refuse.js');

const NOBODY = 'Nobody serves this upgrade.';

/**
 * Gives upgrades that are not the hub's to Next: in development its HMR socket, under whatever path this version has.
 *
 * Next's `app.upgradeHandler` is undocumented but the only handler that works in a custom server from 15.1 to 16.4:
 * `getUpgradeHandler()` does nothing there, and Next's own listener is added only with the first page request. What it
 * does not serve it leaves open for ever or ends without a word; that is answered here.
 */
class NextUpgrades {
  #app;
  #decoy;
  #sockets = new Set();

  /**
   * @param app the Next app
   * @param {import('node:events').EventEmitter} decoy what `app` took for the HTTP server
   */
  constructor(app, decoy) {
    this.#app = app;
    this.#decoy = decoy;
  }

  async handle(request, socket, head) {
    this.#track(socket);
    const written = () => socket.bytesWritten > 0 || socket.writableLength > 0;
    const end = socket.end;
    socket.end = (...args) => {
      socket.end = end;
      if (args.length === 0 && !written()) {
        refuse(socket, 404, NOBODY);
        return socket;
      }
      return end.apply(socket, args);
    };
    try {
      if (typeof this.#app.upgradeHandler === 'function') {
        await this.#app.upgradeHandler(request, socket, head);
      } else {
        this.#decoy.emit('upgrade', request, socket, head);
      }
    } catch (error) {
      process.stderr.write(`[hub] error: Next failed to serve an upgrade of ${request.url}: ${describe(error)}\n`);
    }
    socket.end = end;
    if (!socket.destroyed && !socket.writableEnded && !written()) refuse(socket, 404, NOBODY);
  }

  /** Drops the sockets Next has: server.close() would wait for them, and closeAllConnections() does not know them. */
  destroy() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #track(socket) {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

module.exports = { NextUpgrades };
