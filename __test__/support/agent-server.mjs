// A server for agent handlers, and ways to lose it.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { createWebSocketManager, registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { reset } from './reset.mjs';

/** A hub that serves one agent handler. */
export class AgentServer {
  static async start(handler, { port = 0 } = {}) {
    registerHandler(handler);
    const hub = createHub({ logLevel: 'off' });
    const server = http.createServer();
    hub.attach(server);
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return Object.assign(new AgentServer(), { hub, server, handler, port: server.address().port });
  }

  get url() {
    return `ws://127.0.0.1:${this.port}${this.handler.path}`;
  }

  /** Open connections. */
  get count() {
    return createWebSocketManager().getConnectionCount(this.handler.path);
  }

  async close() {
    await this.hub.close({ timeoutMs: 2000 });
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

/** A stretch of network between clients and a server that a test can cut, also in the middle of a frame. */
export class Wire {
  static async lay(port) {
    const wire = new Wire();
    wire.server = net.createServer((near) => wire.#join(near, port));
    await once(wire.server.listen(0, '127.0.0.1'), 'listening');
    wire.port = wire.server.address().port;
    return wire;
  }

  /** Connections there have been. */
  connections = 0;
  #pairs = new Set();
  #left = Infinity;
  #isDown = false;

  #join(near, port) {
    near.on('error', () => {});
    if (this.#isDown) {
      reset(near);
      return;
    }
    this.connections += 1;
    const far = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    far.on('error', () => near.destroy());
    near.pipe(far);
    far.on('data', (bytes) => {
      const passed = bytes.subarray(0, this.#left);
      this.#left -= passed.length;
      near.write(passed);
      if (passed.length < bytes.length) {
        this.#left = Infinity;
        // The last bytes leave first: a part of a frame is what a cut leaves behind.
        near.end(() => this.cut());
      }
    });
    const end = () => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    near.on('close', end);
    far.on('close', end);
  }

  /** Cuts everything once so many more bytes have reached clients. */
  cutAfter(bytes) {
    this.#left = bytes;
  }

  cut() {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Nobody gets through until `up`. */
  down() {
    this.#isDown = true;
    this.cut();
  }

  up() {
    this.#isDown = false;
  }

  async close() {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Numbers from 0 up to 1, the same for the same seed. */
export function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const LETTERS = ['a', 'b ', 'cd', '\n', 'é', '…', '𝄞', '"', '\\', '\u2028', 'word '];

/** A text in pieces such as a model writes. */
export function piecesOf(random, count) {
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + Math.floor(random() * 5) }, () => LETTERS[Math.floor(random() * LETTERS.length)]).join(''),
  );
}
