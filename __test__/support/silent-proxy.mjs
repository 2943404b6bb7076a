// A TCP proxy between a program and its Redis, over which one direction or both can go silent, and be heard again.
import { once } from 'node:events';
import net from 'node:net';
import { reset } from './reset.mjs';

export class SilentProxy {
  #pairs = new Set();
  #silent = { up: false, down: false };

  /** `port` may be changed: who connects after that gets there. */
  static async start(port) {
    const proxy = Object.assign(new SilentProxy(), { target: port });
    proxy.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => proxy.#accept(near));
    await once(proxy.server.listen(0, '127.0.0.1'), 'listening');
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  #accept(near) {
    const far = net.connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    const gone = () => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    this.#pump(near, far, 'up', gone);
    this.#pump(far, near, 'down', gone);
  }

  #pump(source, sink, direction, gone) {
    source.on('error', gone);
    source.on('data', (data) => {
      if (!sink.write(data)) {
        source.pause();
        sink.once('drain', () => this.#silent[direction] || source.resume());
      }
    });
    source.on('end', () => sink.end());
    source.on('close', () => sink.destroyed && gone());
    if (this.#silent[direction]) source.pause();
  }

  /** What is sent to Redis (`up`), or comes from there (`down`), waits until it may pass again, as on a wire that is cut. */
  silence({ up = false, down = false } = {}) {
    this.#silent = { up, down };
    for (const { near, far } of this.#pairs) {
      for (const [socket, isSilent] of [
        [near, up],
        [far, down],
      ]) {
        if (isSilent) socket.pause();
        else socket.resume();
      }
    }
  }

  /** Resets every connection there is. */
  cut() {
    for (const { near, far } of this.#pairs) {
      reset(near);
      reset(far);
    }
    this.#pairs.clear();
  }

  close() {
    this.server.close();
    this.cut();
  }
}
