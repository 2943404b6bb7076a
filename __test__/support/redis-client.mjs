// A Redis client of a few lines: commands, and what is published. For tests that look into a Redis, or break it.
import { once } from 'node:events';
import net from 'node:net';

const NEWLINE = Buffer.from('\r\n');

export class RedisClient {
  #socket;
  #input = Buffer.alloc(0);
  #waiting = [];
  #subscriptions = 0;

  /** Rejects where nobody listens. `heard` is given `(channel, message)` of everything that is published. */
  static async connect(port, { heard = () => {} } = {}) {
    const client = new RedisClient();
    client.heard = heard;
    const socket = (client.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true }));
    client.closed = new Promise((resolve) => socket.once('close', resolve));
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.on('data', (data) => client.#receive(data));
    client.closed.then(() => {
      for (const { reject } of client.#waiting.splice(0)) reject(new Error('the connection to Redis was closed'));
    });
    return client;
  }

  /** Text and numbers become text, what is binary `Buffer`s in lists. Rejects with Redis' own words. */
  call(...args) {
    if (this.#socket.destroyed) return Promise.reject(new Error('the connection to Redis is closed'));
    const parts = args.map((arg) => Buffer.from(String(arg)));
    const head = (part) => [Buffer.from(`$${part.length}\r\n`), part, NEWLINE];
    this.#socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...parts.flatMap(head)]));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Hears what is published on channels of this pattern from now on; nothing but that can be done with it then. */
  async psubscribe(pattern) {
    const done = this.call('PSUBSCRIBE', pattern);
    this.#subscriptions += 1;
    await done;
  }

  end() {
    this.#socket.destroy();
  }

  #receive(data) {
    this.#input = this.#input.length === 0 ? data : Buffer.concat([this.#input, data]);
    let at = 0;
    for (;;) {
      const parsed = parse(this.#input, at);
      if (!parsed) break;
      at = parsed.end;
      this.#answer(parsed.value);
    }
    this.#input = this.#input.subarray(at);
  }

  #answer(value) {
    if (this.#subscriptions > 0 && Array.isArray(value) && String(value[0]) === 'pmessage') {
      return this.heard(String(value[2]), value[3]);
    }
    const { resolve, reject } = this.#waiting.shift() ?? {};
    if (value instanceof Error) reject?.(value);
    else resolve?.(value);
  }
}

/** One answer of what has come, from `at`; `null` where it is not whole. */
function parse(input, at) {
  const lineEnd = input.indexOf(NEWLINE, at);
  if (lineEnd < 0) return null;
  const line = input.toString('latin1', at + 1, lineEnd);
  const next = lineEnd + 2;
  switch (input[at]) {
    case 0x2b: // +
      return { value: line, end: next };
    case 0x2d: // -
      return { value: new Error(line), end: next };
    case 0x3a: // :
      return { value: Number(line), end: next };
    case 0x24: {
      // $
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      if (input.length < next + length + 2) return null;
      return { value: Buffer.from(input.subarray(next, next + length)), end: next + length + 2 };
    }
    case 0x2a: {
      // *
      if (Number(line) < 0) return { value: null, end: next };
      const value = [];
      let end = next;
      for (let left = Number(line); left > 0; left -= 1) {
        const part = parse(input, end);
        if (!part) return null;
        value.push(part.value);
        end = part.end;
      }
      return { value, end };
    }
    default:
      throw new Error(`Redis has said ${JSON.stringify(line)}`);
  }
}
