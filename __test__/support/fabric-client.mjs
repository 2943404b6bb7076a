// A real WebSocket client (the npm package `ws`) and a raw upgrade, as the tests of whole apps need them.
import { once } from 'node:events';
import net from 'node:net';
import WebSocket from 'ws';
import { until } from './processes.mjs';

/** One connection to the fabric endpoint that keeps what it received. */
export class FabricClient {
  constructor(url, options = {}) {
    this.messages = [];
    this.closed = null;
    this.socket = new WebSocket(url, options);
    this.socket.on('message', (data, isBinary) => {
      this.messages.push(isBinary ? data : JSON.parse(data.toString()));
    });
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    this.failure = null;
    this.socket.on('error', (error) => (this.failure = error));
  }

  /** Connects and waits for the hub's `connected` message. `base` is `ws://host:port` or `wss://host:port`. */
  static async connect(base, documentId, clientID, options) {
    const query = new URLSearchParams({ documentId, clientID });
    const client = new FabricClient(`${base}/ws/fabric?${query}`, options);
    await client.received((message) => message.type === 'connected');
    return client;
  }

  /** Resolves with the first message kept so far, or yet to come, that `isWanted` accepts. */
  async received(isWanted, { timeoutMs = 15_000 } = {}) {
    return until(
      'a message',
      () => {
        const found = this.messages.find(isWanted);
        if (found) return found;
        if (this.failure) throw this.failure;
        if (this.closed) throw new Error(`closed with ${JSON.stringify(this.closed)} while waiting for a message`);
        return null;
      },
      { timeoutMs, everyMs: 5 },
    );
  }

  /** Sends a message once the connection is there, which may be later than that of another client. */
  send(message) {
    if (this.socket.readyState === WebSocket.CONNECTING) this.socket.once('open', () => this.send(message));
    else this.socket.send(JSON.stringify(message));
  }

  /** Resolves with the close code and reason once the connection is closed by whomever. */
  async closing({ timeoutMs = 15_000 } = {}) {
    return until('the close', () => this.closed, { timeoutMs, everyMs: 10 });
  }

  /** Closes from this side and waits for the end. */
  async close() {
    if (!this.closed) this.socket.close(1000);
    return this.closing();
  }

  /** For clean-up: ends the connection whatever its state. */
  drop() {
    this.socket.terminate();
  }
}

/** Opens a WebSocket and resolves with it, or with `null` when the server refuses or closes it. */
export async function tryOpen(url, options) {
  const socket = new WebSocket(url, { handshakeTimeout: 10_000, ...options });
  socket.received = [];
  socket.on('message', (data) => socket.received.push(data.toString()));
  try {
    await once(socket, 'open');
    return socket;
  } catch {
    return null;
  }
}

/** A TCP connection that has sent a well-formed WebSocket upgrade for `path` and does nothing more by itself. */
function upgradeByHand(port, path) {
  const socket = net.connect(port, '127.0.0.1');
  socket.setEncoding('latin1').on('error', () => {});
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      `Host: localhost:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      '',
      '',
    ].join('\r\n'),
  );
  return socket;
}

/** Sends an upgrade for `path` and resolves with all bytes of the answer, once the server has closed the connection. */
export async function rawUpgrade(port, path, { timeoutMs = 15_000 } = {}) {
  const socket = upgradeByHand(port, path);
  let answer = '';
  let ended = false;
  socket.on('data', (text) => (answer += text));
  socket.on('close', () => (ended = true));
  const what = () => `the server to close the upgrade of ${path}, which it answered by ${JSON.stringify(answer)}`;
  try {
    await until(what, () => ended, { timeoutMs });
  } finally {
    socket.destroy();
  }
  return answer;
}

/** A client that completes the handshake, and from then on answers nothing, not even a close frame. */
export async function silentUpgrade(port, path) {
  const socket = upgradeByHand(port, path);
  const [first] = await once(socket, 'data');
  if (!first.startsWith('HTTP/1.1 101 ')) throw new Error(`no handshake: ${first}`);
  return socket;
}
