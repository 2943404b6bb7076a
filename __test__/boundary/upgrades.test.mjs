// Whose an upgrade is: what is none of the hub's is answered as if there were no hub, and what the hub or another
// listener has taken is out of everybody else's reach.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { describe } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { HubServer, uniqueId, WAYS } from '../support/hub-server.mjs';
import { fabricTarget, RawClient, upgradeRequest } from '../support/raw-client.mjs';

/** Answers with what it has been asked for, body included. */
async function echo(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  response.end(`${request.method} ${request.url} ${body}`);
}

async function started(t, options) {
  const server = await HubServer.start({ listener: echo, ...options });
  t.after(() => server.close());
  return server;
}

async function answerOf(server, bytes) {
  const raw = await server.raw();
  raw.write(bytes);
  return raw.response();
}

const H2C = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' };

describe('an offer of another protocol is ignored', () => {
  for (const Upgrade of ['h2c', 'H2C', 'h2c, h2', 'TLS/1.0', 'HTTP/2.0', 'h2c, TLS/1.2', 'IRC/6.9', 'foo', ',']) {
    test(`Upgrade: ${Upgrade}`, async (t) => {
      const { status, text } = await answerOf(
        await started(t),
        upgradeRequest('/page', { headers: { ...H2C, Upgrade } }),
      );
      assert.deepEqual([status, text], [200, 'GET /page ']);
    });
  }

  test('with a body by its length, in pieces and in chunks, the body is whole', async (t) => {
    const server = await started(t);
    const head = (headers) => upgradeRequest('/api', { method: 'POST', headers: { ...H2C, ...headers } });
    const whole = await answerOf(server, `${head({ 'Content-Length': '5' })}hello`);
    assert.deepEqual([whole.status, whole.text], [200, 'POST /api hello']);
    const chunked = await answerOf(server, `${head({ 'Transfer-Encoding': 'chunked' })}5\r\nhello\r\n0\r\n\r\n`);
    assert.equal(chunked.status, 200);
    const raw = await server.raw();
    raw.write(`${head({ 'Content-Length': '10' })}hello`);
    await sleep(30);
    raw.write('world');
    assert.equal((await raw.response()).text, 'POST /api helloworld');
  });

  test('the connection serves what is asked for next, a WebSocket too', async (t) => {
    const server = await started(t);
    const raw = await server.raw();
    raw.write(upgradeRequest('/one', { headers: H2C }));
    assert.equal((await raw.response()).text, 'GET /one ');
    raw.write('GET /two HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.equal((await raw.response()).text, 'GET /two ');
    assert.equal((await raw.open(uniqueId())).type, 'connected');
  });

  test('over TLS', async (t) => {
    const server = await started(t, { way: WAYS[2] });
    assert.equal((await answerOf(server, upgradeRequest('/page', { headers: H2C }))).text, 'GET /page ');
  });

  test('also beside another listener, which gets what else is asked for', async (t) => {
    const server = await started(t);
    const seen = [];
    server.server.on('upgrade', (request, socket) => {
      seen.push(request.headers.upgrade);
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
    });
    assert.equal((await answerOf(server, upgradeRequest('/page', { headers: H2C }))).status, 200);
    assert.equal((await answerOf(server, upgradeRequest('/page', { headers: { Upgrade: 'foo' } }))).status, 400);
    assert.deepEqual(seen, ['foo']);
  });

  test('a WebSocket that is asked for with another method, or in HTTP/1.0, is a plain request', async (t) => {
    const server = await started(t);
    assert.equal((await answerOf(server, upgradeRequest('/api', { method: 'POST' }))).text, 'POST /api ');
    assert.equal((await answerOf(server, upgradeRequest('/page', { version: '1.0' }))).status, 200);
  });

  test('detached, the server takes upgrades as it did', async (t) => {
    const server = await started(t);
    const detach = server.hub.attach(server.server);
    detach();
    const { emit } = server.server;
    const again = server.hub.attach(server.server);
    assert.notEqual(server.server.emit, emit);
    again();
    assert.equal(server.server.emit, emit);
    const client = await server.connect(uniqueId());
    await client.close();
  });
});

/** Listeners of other libraries, which end or refuse what is not theirs. */
const others = {
  "Next's, which ends what a catch-all page matches, a moment later": (server) =>
    server.on('upgrade', async (_request, socket) => {
      await sleep(1);
      socket.end();
    }),
  "the next Next's, which answers 404": (server) =>
    server.on('upgrade', async (_request, socket) => {
      await null;
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    }),
  "engine.io's, which ends what has waited": (server) =>
    server.on('upgrade', (_request, socket) => {
      setTimeout(() => {
        if (socket.writable && socket.bytesWritten <= 0) socket.end();
      }, 50);
    }),
  'a proxy that reads': (server) =>
    server.on('upgrade', (_request, socket) => {
      socket.setTimeout(0);
      socket.on('data', () => {});
      socket.resume();
    }),
  'one that drops what it does not know': (server) => server.on('upgrade', (_request, socket) => socket.destroy()),
  'a ws server that is bound to its path': (server) => new WebSocketServer({ server, path: '/elsewhere' }),
};

for (const way of WAYS) {
  describe(`what the hub has taken over ${way} is out of the reach of`, () => {
    for (const [name, listen] of Object.entries(others)) {
      for (const session of [undefined, async () => (await sleep(150), { id: 'u' })]) {
        test(`${name}${session ? ', while it waits for its session' : ''}`, async (t) => {
          const server = await started(t, { way, session });
          listen(server.server);
          const documentId = uniqueId();
          const client = await server.connect(documentId);
          await sleep(100);
          await client.synced(documentId);
          assert.equal(client.closed, null);
          await client.close();
        });
      }
    }
  });
}

describe('a listener that was there before the hub', () => {
  async function behind(t, listen, options = {}) {
    const server = await started(t, options);
    // The hub's own comes behind it.
    server.server.prependListener('upgrade', listen);
    return server;
  }

  test('is told of every upgrade, and what it has answered is left alone', async (t) => {
    const server = await behind(t, (_request, socket) =>
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
    );
    assert.equal((await answerOf(server, upgradeRequest(fabricTarget('d')))).status, 401);
  });

  test('may drop a socket', async (t) => {
    const server = await behind(t, (_request, socket) => socket.destroy());
    const raw = await server.raw();
    raw.write(upgradeRequest(fabricTarget('d')));
    await raw.gone();
  });

  for (const session of [undefined, async () => (await sleep(150), { id: 'u' })]) {
    test(`does not end later what the hub has taken${session ? ', while it waits for its session' : ''}`, async (t) => {
      const server = await behind(t, (_request, socket) => setTimeout(() => socket.end(), session ? 50 : 0), {
        session,
      });
      const documentId = uniqueId();
      const client = await server.connect(documentId);
      await client.synced(documentId);
    });
  }

  test('answers on a connection that has served pages, which says nothing about who has answered', async (t) => {
    const server = await behind(t, () => {});
    const raw = await server.raw();
    raw.write('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.equal((await raw.response()).text, 'GET /page ');
    assert.equal((await raw.open(uniqueId())).type, 'connected');
  });
});

test('a second WebSocket server on the same HTTP server serves its path, and the hub its own', async (t) => {
  const server = await started(t);
  const second = new WebSocketServer({ noServer: true });
  second.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)));
  server.server.on('upgrade', async (request, socket, head) => {
    if (!request.url.startsWith('/second')) return;
    await sleep(20);
    second.handleUpgrade(request, socket, head, (found) => second.emit('connection', found, request));
  });
  const socket = new WebSocket(`${server.base}/second`);
  await once(socket, 'open');
  socket.send('x');
  assert.equal(String((await once(socket, 'message'))[0]), 'echo x');
  const client = await server.connect(uniqueId());
  assert.equal(client.closed, null);
  socket.terminate();
});

describe('a request target', () => {
  const path = fabricTarget('d');
  for (const [target, status] of [
    [path, 101],
    [`http://localhost${path}`, 101],
    [`HTTP://localhost:1${path}`, 101],
    [`https://user@localhost${path}`, 101],
    [`ws://localhost${path}`, 101],
    ['/ws//fabric', 101],
    ['/ws/%zz', 101],
    [`//ws/fabric`, 404],
    ['http://localhost', 404],
    ['http://localhost?ws', 404],
    ['http:///ws/fabric', 404],
    ['/%77s/fabric', 404],
    ['/%', 404],
    ['*', 404],
    ['/../ws/fabric', 404],
    ['localhost:80', 400],
  ]) {
    test(`${target}: ${status}`, async (t) => {
      assert.equal((await answerOf(await started(t), upgradeRequest(target))).status, status);
    });
  }

  test('in absolute-form names the host, whatever the Host header says', async (t) => {
    const server = await started(t);
    const headers = { Host: 'elsewhere.example', Origin: 'http://right.example' };
    const [right, wrong] = ['right.example', 'wrong.example'].map((host) =>
      upgradeRequest(`http://${host}${path}`, { headers }),
    );
    assert.equal((await answerOf(server, right)).status, 101);
    assert.equal((await answerOf(server, wrong)).status, 403);
  });
});

describe('hub.request answers a plain request of a path of the hub', () => {
  const listener = (hub) => (request, response) => {
    if (!hub().request(request, response)) response.end('page');
  };
  for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
    for (const target of ['/ws', '/ws/fabric?documentId=a&clientID=b', '/ws/nothing', 'http://localhost/ws/fabric']) {
      test(`${method} ${target}`, async (t) => {
        let server = null;
        server = await started(t, { listener: listener(() => server.hub) });
        const raw = await RawClient.connect(server);
        t.after(() => raw.drop());
        raw.write(`${method} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        let answer = '';
        raw.socket.on('data', (data) => (answer += data));
        await raw.gone();
        assert.match(answer, /^HTTP\/1\.1 426 /);
        assert.match(answer, /\r\nUpgrade: websocket\r\n/);
        assert.match(answer, /\r\nConnection: Upgrade/);
        if (method === 'HEAD') assert.ok(answer.endsWith('\r\n\r\n'));
        else assert.match(answer, /proxy/);
      });
    }
  }

  test('and leaves others alone', async (t) => {
    let server = null;
    server = await started(t, { listener: listener(() => server.hub) });
    for (const target of ['/', '/wsx', '/a/ws']) {
      assert.equal((await answerOf(server, `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).text, 'page');
    }
  });
});
