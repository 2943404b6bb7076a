// What Next does with upgrades that are not the hub's, by stand-ins for each way a version of it has to take them. The
// real ones are in next.test.mjs.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { describe } from 'node:test';
import { RawClient, upgradeRequest } from '../support/raw-client.mjs';
import { until } from '../support/processes.mjs';
import { runProgram } from '../support/programs.mjs';

const require = createRequire(import.meta.url);
const { createHub } = require('../../js/hub/hub.js');
const { NextUpgrades } = require('../../js/next/next-upgrades.js');

const TAKEN = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const NOT_FOUND = 'HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/** A server as startServer makes it, around a Next whose upgrades are `upgradeHandler`'s. */
async function around(t, upgradeHandler, { decoy = new EventEmitter() } = {}) {
  const hub = createHub({ logLevel: 'off' });
  const server = http.createServer((_request, response) => response.end('page'));
  const upgrades = new NextUpgrades({ upgradeHandler }, decoy, server);
  hub.serve(server, (...upgrade) => upgrades.handle(...upgrade));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const clients = [];
  t.after(async () => {
    for (const client of clients) client.drop();
    upgrades.destroy();
    await hub.close({ timeoutMs: 500 });
    server.close();
    server.closeAllConnections();
  });
  const connect = async () => {
    const client = await RawClient.connect(server.address());
    clients.push(client);
    return client;
  };
  const ask = async (target, options) => {
    const client = await connect();
    client.write(upgradeRequest(target, options));
    return client.response();
  };
  return { server, connect, ask };
}

/** What Next's proxy does with a socket before it connects; it has returned by then. */
function proxy(socket, later) {
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 0);
  setTimeout(later, 30);
}

describe('an upgrade that Next', () => {
  const answers = [
    ['answers', (_request, socket) => socket.write(TAKEN), 101],
    ['answers itself with 404', (_request, socket) => socket.end(NOT_FOUND), 404],
    ['ends without a word', (_request, socket) => socket.end(), 404],
    ['leaves alone', () => {}, 404],
    ['refuses with a text alone', (_request, socket) => socket.end('Unauthorized'), 403],
    ['proxies to a server that answers', (_request, socket) => proxy(socket, () => socket.write(TAKEN)), 101],
    [
      'proxies to a server that is down',
      (_request, socket) => proxy(socket, () => (socket.end('Internal Server Error'), socket.end())),
      502,
    ],
  ];
  for (const [what, upgradeHandler, status] of answers) {
    for (const isAwaited of [false, true]) {
      const handler = async (...upgrade) => {
        if (isAwaited) await sleep(5);
        upgradeHandler(...upgrade);
      };
      test(`${what}${isAwaited ? ' after a while' : ''}: ${status}`, async (t) => {
        const { ask } = await around(t, handler);
        assert.equal((await ask('/elsewhere')).status, status);
      });
    }
  }

  test('leaves alone is answered on a connection that has served pages too', async (t) => {
    const { connect } = await around(t, async () => {});
    const client = await connect();
    client.write('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.equal((await client.response()).text, 'page');
    client.write(upgradeRequest('/elsewhere'));
    assert.equal((await client.response()).status, 404);
  });

  test('proxies is not ended by another listener, as engine.io does to what has waited', async (t) => {
    const { ask, server } = await around(t, async (_request, socket) => {
      socket.setKeepAlive(true, 0);
      setTimeout(() => socket.write(TAKEN), 120);
    });
    server.on('upgrade', (_request, socket) => setTimeout(() => socket.bytesWritten > 0 || socket.end(), 40));
    assert.equal((await ask('/rewritten')).status, 101);
  });

  test('is asked for in a list of protocols is one for a WebSocket alone, in origin-form', async (t) => {
    const seen = [];
    const { ask } = await around(t, async ({ url, headers }, socket) => {
      seen.push([url, headers.upgrade, headers.host]);
      socket.end();
    });
    await ask('http://right.example/_next/hmr?id=1', { headers: { Upgrade: 'h2c, WebSocket' } });
    assert.deepEqual(seen, [['/_next/hmr?id=1', 'websocket', 'right.example']]);
  });

  test('never sees, because its client has left, harms nobody', async (t) => {
    const { connect, ask } = await around(t, async (_request, socket) => {
      await sleep(30);
      socket.end();
    });
    const client = await connect();
    client.write(upgradeRequest('/elsewhere'));
    client.reset();
    assert.equal((await ask('/elsewhere')).status, 404);
  });
});

describe('beside a second listener, an upgrade that Next does not serve', () => {
  const nexts = {
    'and ends': (_request, socket) => socket.end(),
    'and leaves alone': () => {},
    'and answers with 404': (_request, socket) => socket.end(NOT_FOUND),
    'and answers with 404 in two writes': (_request, socket) => (socket.write(NOT_FOUND), socket.end()),
  };
  for (const [what, upgradeHandler] of Object.entries(nexts)) {
    for (const delay of [undefined, 0, 50]) {
      test(`${what} is the second one's, ${delay === undefined ? 'at once' : `after ${delay} ms`}`, async (t) => {
        const { ask, server } = await around(t, async (...upgrade) => upgradeHandler(...upgrade));
        server.on('upgrade', async (_request, socket) => {
          if (delay !== undefined) await sleep(delay);
          socket.write(TAKEN);
        });
        assert.equal((await ask('/second')).status, 101);
      });
    }
  }

  test('may be refused by the second one', async (t) => {
    const { ask, server } = await around(t, async (_request, socket) => socket.end());
    server.on('upgrade', async (_request, socket) => {
      await sleep(20);
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
    assert.equal((await ask('/second')).status, 401);
  });

  test('is not shown to Next once the second one has answered', async (t) => {
    const seen = [];
    const { ask, server } = await around(t, async ({ url }) => seen.push(url));
    server.on('upgrade', (_request, socket) => socket.write(TAKEN));
    assert.equal((await ask('/second')).status, 101);
    await until('the next turn', () => true);
    assert.deepEqual(seen, []);
  });
});

describe('a Next without upgradeHandler', () => {
  // What is logged while a hub runs is written by a thread of its own, so that only another process can read it.
  const program = (listens) => `
    import { EventEmitter } from 'node:events';
    import http from 'node:http';
    import { createRequire } from 'node:module';
    const require = createRequire(process.cwd() + '/');
    const { createHub } = require('./js/hub/hub.js');
    const { NextUpgrades } = require('./js/next/next-upgrades.js');
    const hub = createHub({ logLevel: 'off' });
    const decoy = new EventEmitter();
    if (${listens}) decoy.on('upgrade', () => {});
    new NextUpgrades({}, decoy, http.createServer()).destroy();
    await hub.close();
  `;

  test('and without a listener is warned of at start', async () => {
    const { code, output } = await runProgram('a Next without upgradeHandler', program(false));
    assert.match(output, /\[hub\] warn: this version of Next takes no upgrades/);
    assert.equal(code, 0);
  });

  test('and without a listener has its upgrades answered', async (t) => {
    const { ask } = await around(t, undefined);
    assert.equal((await ask('/elsewhere')).status, 404);
  });

  test('that listens on what it takes for the server is served there', async (t) => {
    const decoy = new EventEmitter();
    decoy.on('upgrade', (_request, socket) => socket.write(TAKEN));
    const { ask } = await around(t, undefined, { decoy });
    assert.equal((await ask('/_next/hmr')).status, 101);
    assert.doesNotMatch((await runProgram('a Next that listens', program(true))).output, /takes no upgrades/);
  });
});

test('an upgrade behind an unanswered request is refused once that is answered', async (t) => {
  const { server, connect } = await around(t, async (_request, socket) => socket.end());
  let answer;
  server.removeAllListeners('request');
  server.on('request', (_request, response) => (answer = () => response.end('page')));
  const client = await connect();
  assert.ok(client.socket instanceof net.Socket);
  client.write(`GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest('/elsewhere')}`);
  await until('the request', () => answer);
  answer();
  assert.equal((await client.response()).text, 'page');
  assert.equal((await client.response()).status, 400);
});
