// A client that writes bytes of the test's choice: for what no honest client would send.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import { until } from './processes.mjs';
import { reset } from './reset.mjs';

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

/**
 * The bytes of a frame.
 *
 * @param options `length` is what the header says where it lies about the payload
 */
export function frame(opcode, payload = '', { fin = true, reserved = 0, masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const said = length ?? data.length;
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (said < 126) {
    head.push(mask | said);
  } else if (said < 65_536) {
    head.push(mask | 126, said >> 8, said & 0xff);
  } else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(said));
    head.push(mask | 127, ...long);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, index) => byte ^ key[index % 4])]);
}

/** The bytes of an upgrade request; `headers` replace the right ones, `undefined` leaves one out. */
export function upgradeRequest(target, { method = 'GET', version = '1.1', headers = {} } = {}) {
  const all = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined);
  return `${method} ${target} HTTP/${version}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** The target of a document. */
export function fabricTarget(documentId, clientID = 'raw') {
  return `/ws/fabric?${new URLSearchParams({ documentId, clientID })}`;
}

export class RawClient {
  #input = Buffer.alloc(0);

  constructor(tcp, socket) {
    /** The TCP socket, which is `socket` itself where there is no TLS. */
    this.tcp = tcp;
    this.socket = socket;
    this.ended = false;
    this.closed = false;
    socket.on('data', (data) => (this.#input = Buffer.concat([this.#input, data])));
    socket.on('error', () => {});
    socket.on('end', () => (this.ended = true));
    socket.on('close', () => (this.closed = true));
    if (tcp !== socket) tcp.on('error', () => {});
  }

  static async connect({ port, secure }) {
    const tcp = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    await once(tcp, 'connect');
    if (!secure) return new RawClient(tcp, tcp);
    const socket = tls.connect({ socket: tcp, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new RawClient(tcp, socket);
  }

  write(...bytes) {
    for (const each of bytes) this.socket.write(each);
  }

  /** Upgrades, and leaves what came after the answer to be read. */
  async upgrade(target) {
    this.write(upgradeRequest(target));
    const { status, text } = await this.response();
    if (status !== 101) throw new Error(`no upgrade: ${text}`);
  }

  /** Upgrades to a document, and takes its `connected`. */
  async open(documentId, clientID) {
    await this.upgrade(fabricTarget(documentId, clientID));
    const { payload } = await this.frame();
    return JSON.parse(payload);
  }

  async #read(what, take) {
    const seen = () => `${what}; there is ${JSON.stringify(this.#input.toString('latin1').slice(0, 300))}`;
    return until(
      seen,
      () => {
        const taken = take();
        if (!taken && (this.ended || this.closed)) throw new Error(`the connection ended before ${seen()}`);
        return taken;
      },
      { timeoutMs: 20_000, everyMs: 2 },
    );
  }

  /** Takes an HTTP response, its body by `Content-Length`. */
  async response() {
    return this.#read('an HTTP response', () => {
      const end = this.#input.indexOf('\r\n\r\n');
      if (end < 0) return null;
      const [first, ...lines] = this.#input.toString('latin1', 0, end).split('\r\n');
      const headers = Object.fromEntries(
        lines.map((line) => {
          const [name, value] = line.split(/: ?(.*)/s);
          return [name.toLowerCase(), value];
        }),
      );
      const whole = end + 4 + Number(headers['content-length'] ?? 0);
      if (this.#input.length < whole) return null;
      const text = this.#input.toString('utf8', end + 4, whole);
      this.#input = this.#input.subarray(whole);
      return { status: Number(first.split(' ')[1]), version: first.split(' ')[0], headers, text };
    });
  }

  /** Takes a frame: `{ fin, opcode, payload }`, the payload as a buffer. */
  async frame() {
    return this.#read('a frame', () => {
      const input = this.#input;
      if (input.length < 2) return null;
      let [length, start] = [input[1] & 0x7f, 2];
      if (length === 126) [length, start] = input.length < 4 ? [Infinity, 4] : [input.readUInt16BE(2), 4];
      else if (length === 127)
        [length, start] = input.length < 10 ? [Infinity, 10] : [Number(input.readBigUInt64BE(2)), 10];
      if (input.length < start + length) return null;
      const payload = Buffer.from(input.subarray(start, start + length));
      const taken = { fin: input[0] >= 0x80, opcode: input[0] & 0x0f, masked: input[1] >= 0x80, payload };
      this.#input = input.subarray(start + length);
      return taken;
    });
  }

  /** Takes frames until one of `opcode`. */
  async frameOf(opcode) {
    for (;;) {
      const found = await this.frame();
      if (found.opcode === opcode) return found;
    }
  }

  /** Takes frames until the close frame: `{ code, reason }`. */
  async closeFrame() {
    const { payload } = await this.frameOf(CLOSE);
    return { code: payload.length > 1 ? payload.readUInt16BE(0) : 1005, reason: payload.toString('utf8', 2) };
  }

  /** Resolves when the other side has ended the connection, by FIN or RST. */
  async gone({ timeoutMs = 15_000 } = {}) {
    await until('the end of the connection', () => this.ended || this.closed, { timeoutMs, everyMs: 5 });
  }

  /**
   * Resolves when nobody holds the other end any more, also where this side does not read: the kernel then has it in
   * a state of closing, or not at all. Linux only.
   */
  async otherEndGone({ timeoutMs = 15_000 } = {}) {
    const hex = (port) => port.toString(16).toUpperCase().padStart(4, '0');
    const [far, near] = [hex(this.tcp.remotePort), hex(this.tcp.localPort)];
    await until(
      'the other end to be closed',
      async () => {
        const table = await readFile('/proc/net/tcp', 'utf8');
        const row = table
          .split('\n')
          .map((line) => line.trim().split(/\s+/))
          .find(([, local, remote]) => local?.endsWith(`:${far}`) && remote?.endsWith(`:${near}`));
        // No inode: no process has it.
        return !row || row[9] === '0';
      },
      { timeoutMs },
    );
  }

  /** Ends the connection by RST. */
  reset() {
    reset(this.tcp);
  }

  drop() {
    this.socket.destroy();
    this.tcp.destroy();
  }
}
