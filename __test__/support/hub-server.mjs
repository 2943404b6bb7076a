// A hub behind a server of Node, in this process or in a child, reached in each of the three ways.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createHub } from '../../js/server.js';
import { HubClient } from './hub-client.mjs';
import { childEnvironment, Service, until } from './processes.mjs';
import { RawClient } from './raw-client.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** How a socket gets from Node to the hub. The same tests must pass over each. */
export const WAYS = ['the descriptor', 'the loopback pipe', 'TLS'];

let ids = 0;

/** An id that no other test of this process uses. */
export function uniqueId(prefix = 'document') {
  ids += 1;
  return `${prefix}-${process.pid}-${ids}`;
}

let made;

/** A key and a self-signed certificate for localhost, made once a process. */
export function certificate() {
  made ??= makeCertificate();
  return made;
}

async function makeCertificate() {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-tls-'));
  try {
    const [key, cert] = [path.join(directory, 'key.pem'), path.join(directory, 'cert.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...name, '-keyout', key, '-out', cert]);
    return { key: await fs.readFile(key), cert: await fs.readFile(cert) };
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

/** What tests do with a server, wherever it runs. */
class Reach {
  #clients = new Set();

  constructor(way, port) {
    this.way = way;
    this.port = port;
    this.secure = way === 'TLS';
    this.base = `${this.secure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
  }

  /** A client that is connected to a document. */
  async connect(documentId, clientID = uniqueId('client')) {
    const client = this.open(`/ws/fabric?${new URLSearchParams({ documentId, clientID })}`);
    await client.received((message) => message.type === 'connected');
    return client;
  }

  /** A client for any target, without waiting for anything. */
  open(target, options = {}) {
    return this.#keep(new HubClient(`${this.base}${target}`, { rejectUnauthorized: false, ...options }));
  }

  /** A socket that speaks only what the test writes. */
  async raw() {
    return this.#keep(await RawClient.connect(this));
  }

  #keep(client) {
    this.#clients.add(client);
    return client;
  }

  /** Ends every client there was. */
  dropClients() {
    for (const client of this.#clients) client.drop();
    this.#clients.clear();
  }
}

/** A hub and a server of this process. */
export class HubServer extends Reach {
  static async start({ way = WAYS[0], listener, ...options } = {}) {
    const hub = createHub({ logLevel: 'off', handOver: way !== WAYS[1], ...options });
    const answer = listener ?? ((_request, response) => response.end('page'));
    const server = way === 'TLS' ? https.createServer(await certificate(), answer) : http.createServer(answer);
    hub.attach(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const started = new HubServer(way, server.address().port);
    return Object.assign(started, { hub, server });
  }

  async close() {
    this.dropClients();
    await this.hub.close({ timeoutMs: 2000 });
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

/** A hub and a server in a child, whose memory, descriptors and event loop are then its own. */
export class HubChild extends Reach {
  /** `descriptors` is how many the child may have. */
  static async start({ way = WAYS[0], nodeArgs = [], descriptors, ...options } = {}) {
    const program = fileURLToPath(new URL('hub-child.mjs', import.meta.url));
    const command = [process.execPath, ...nodeArgs, program, JSON.stringify({ way, ...options })];
    if (descriptors) command.unshift('sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh');
    const service = new Service(`a hub over ${way}`, command[0], command.slice(1), {
      env: childEnvironment(),
      ipc: true,
    });
    await service.printed(/^listening on \d+$/m);
    const port = Number(/^listening on (\d+)$/m.exec(service.output)[1]);
    return Object.assign(new HubChild(way, port), { service });
  }

  /** `{ rss, fabric, documents, descriptors }` of the child, after a garbage collection where it may. */
  async state() {
    return this.service.ask({ ask: 'state' }, (message) => 'fabric' in message);
  }

  /** Has the child's event loop stand still for `busyMs` of every `everyMs`. */
  async block(busyMs, everyMs) {
    await this.service.ask({ ask: 'block', busyMs, everyMs }, (message) => message.blocking);
  }

  /** Leaves the child `free` descriptors; answers how many it had. */
  async exhaust(free) {
    const { opened } = await this.service.ask({ ask: 'exhaust', free }, (message) => 'opened' in message);
    return opened;
  }

  /** Gives back what `exhaust` took. */
  async release() {
    await this.service.ask({ ask: 'release' }, (message) => message.released);
  }

  /** Resolves when nobody is connected any more. */
  async emptied({ timeoutMs = 30_000 } = {}) {
    return until(
      'the counts to return to 0',
      async () => {
        const state = await this.state();
        return state.fabric === 0 && state.documents === 0 ? state : null;
      },
      { timeoutMs },
    );
  }

  async close() {
    this.dropClients();
    return this.service.stop();
  }
}

/**
 * Defines the same tests for each way in. `define` gets an object whose `server` is there while a test runs.
 *
 * @param options of the hub, and `listener` for plain requests; `Server` is HubServer or HubChild
 */
export function overEveryWay(define, { ways = WAYS, Server = HubServer, ...options } = {}) {
  for (const way of ways) {
    describe(`over ${way}`, () => {
      const at = { way, server: undefined };
      before(async () => (at.server = await Server.start({ way, ...options })));
      after(() => at.server?.close());
      define(at);
    });
  }
}
