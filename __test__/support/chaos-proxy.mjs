// A TCP proxy that does to connections what networks do: ends them by FIN or RST, lets them go silent, delays and slows.
import { once } from 'node:events';
import net from 'node:net';
import { reset } from './reset.mjs';

/** How a connection can be cut. After `silence` both ends are still connected, and nothing arrives any more. */
export const CUTS = ['FIN', 'RST', 'silence'];

/**
 * What becomes of a connection.
 *
 * @typedef {object} Plan
 * @property {number} [port] where it gets to, if not to the hub of the proxy
 * @property {string} [how] one of CUTS
 * @property {number} [afterUp] bytes from the client after which it is cut, to the byte
 * @property {number} [afterDown] bytes from the hub after which it is cut, to the byte
 * @property {number} [afterMs] milliseconds after which it is cut
 * @property {number} [delayMs] every byte comes so much later, in both directions
 * @property {number} [bytesPerSecond] how fast the client reads
 * @property {number} [stallAfter] bytes from the hub after which the client reads nothing for `stallMs`
 * @property {number} [stallMs]
 */

export class ChaosProxy {
  /** The connections there are. */
  links = new Set();
  /** How many were cut in each way, and how many connections there were. */
  done = { connections: 0, stalls: 0, FIN: 0, RST: 0, silence: 0 };

  /**
   * @param {number | (() => number)} port where the hub listens; a function is asked once a connection
   * @param {(target: string) => Plan} [plan] asked once a connection, with its request target
   */
  static async start(port, plan = () => ({})) {
    const proxy = new ChaosProxy();
    Object.assign(proxy, { hubPort: port, plan });
    proxy.server = net.createServer((near) => proxy.#accept(near));
    await once(proxy.server.listen(0, '127.0.0.1'), 'listening');
    proxy.port = proxy.server.address().port;
    proxy.base = `ws://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  #accept(near) {
    near.on('error', () => {});
    near.once('data', (head) => {
      const target = head.toString('latin1').split(' ', 2)[1];
      const plan = this.plan(target);
      const port = plan.port ?? (typeof this.hubPort === 'function' ? this.hubPort() : this.hubPort);
      const far = net.connect(port, '127.0.0.1');
      const link = new Link(near, far, target, plan, this.done);
      this.done.connections += 1;
      this.links.add(link);
      link.over.then(() => this.links.delete(link));
      near.unshift(head);
    });
  }

  /** The newest connection that a client has through here. */
  linkOf(clientID) {
    return [...this.links].findLast(
      (link) => new URLSearchParams(link.target.split('?')[1]).get('clientID') === clientID,
    );
  }

  /** Cuts every connection there is. */
  cutAll(how) {
    for (const link of this.links) link.cut(how);
  }

  /** Ends every connection there is, also those that are cut and do not know it. */
  dropAll() {
    for (const link of this.links) link.drop();
  }

  async close() {
    const closed = once(this.server, 'close');
    this.server.close();
    this.dropAll();
    await closed;
  }
}

class Link {
  isCut = false;

  constructor(near, far, target, plan, done) {
    Object.assign(this, { near, far, target, plan, done });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    this.over = Promise.all([near, far].map((socket) => new Promise((closed) => socket.once('close', closed))));
    if (plan.afterMs) {
      const timer = setTimeout(() => this.cut(plan.how), plan.afterMs);
      this.over.then(() => clearTimeout(timer));
    }
    this.#pump(near, far, plan.afterUp ?? Infinity);
    this.#pump(far, near, plan.afterDown ?? Infinity, plan);
  }

  #pump(source, sink, left, { bytesPerSecond, stallAfter, stallMs } = {}) {
    const { delayMs = 0, how } = this.plan;
    const later = (ms, deed) => (ms > 0 ? setTimeout(deed, ms) : deed());
    let passed = 0;
    /** For how many reasons nothing is read at the moment. */
    let holds = 0;
    const hold = (release) => {
      holds += 1;
      source.pause();
      release(() => {
        holds -= 1;
        if (holds === 0 || this.isCut) source.resume();
      });
    };
    source.on('data', (data) => {
      if (this.isCut) return;
      const part = data.subarray(0, left);
      left -= part.length;
      const isLast = left === 0;
      later(delayMs, () => {
        if (this.isCut) return;
        const isRoomy = sink.write(part, () => isLast && this.cut(how));
        if (!isRoomy) hold((release) => sink.once('drain', release));
      });
      if (bytesPerSecond) hold((release) => setTimeout(release, (1000 * part.length) / bytesPerSecond));
      if (passed < stallAfter && passed + part.length >= stallAfter) {
        this.done.stalls += 1;
        hold((release) => setTimeout(release, stallMs));
      }
      passed += part.length;
    });
    source.on('end', () => later(delayMs, () => this.isCut || sink.end()));
    source.on('close', () => later(delayMs, () => this.isCut || sink.destroySoon()));
  }

  /** Cuts the connection now. */
  cut(how) {
    if (this.isCut) return;
    this.isCut = true;
    this.done[how] += 1;
    for (const socket of [this.near, this.far]) {
      if (how === 'RST') reset(socket);
      if (how === 'FIN') socket.end();
      // What comes is swallowed, and whoever ends its side in the end is not kept.
      socket.resume();
      socket.once('end', () => socket.destroy());
    }
  }

  drop() {
    this.isCut = true;
    this.near.destroy();
    this.far.destroy();
  }
}
