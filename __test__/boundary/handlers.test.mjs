// Handlers in TypeScript: what they are called with, in which order, and what a fault of theirs does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe } from 'node:test';
import {
  createWebSocketManager,
  fabricHandler,
  getConnectionCount,
  registerHandler,
  registerHandlers,
} from '@captify-io/hub';
import { HubServer, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { recordingHandler } from '../support/handlers.mjs';
import { until } from '../support/processes.mjs';

/** A client after its handshake. */
async function opened(server, target) {
  const client = server.open(target);
  await once(client.socket, 'open');
  return client;
}

const received = (client, count) =>
  until(`${count} messages`, () => (client.texts.length >= count ? client.texts : null), { everyMs: 2 });

overEveryWay((at) => {
  test('onConnect gets the request with its url, its headers and the address of the client', async () => {
    let seen;
    const { path, called } = recordingHandler({
      onConnect: async (ws, request) => {
        await new Promise(setImmediate);
        const address = request.socket.remoteAddress;
        seen = { url: request.url, cookie: request.headers.cookie, address, thread: ws.threadId };
        ws.threadId = new URL(request.url, 'http://localhost').searchParams.get('threadId');
      },
      onMessage: (ws) => ws.send(JSON.stringify(ws.threadId)),
    });
    const client = await opened(at.server, `${path}?threadId=t%201`);
    await called('onConnect');
    await until('the request', () => seen);
    assert.deepEqual(seen, {
      url: `${path}?threadId=t%201`,
      cookie: undefined,
      address: '127.0.0.1',
      thread: undefined,
    });
    client.socket.send('1');
    assert.deepEqual(await received(client, 1), ['"t 1"']);
  });

  test('a connection has a place for its handler, empty at first and nobody else’s', async () => {
    const { path } = recordingHandler({
      onConnect(ws, request) {
        const before = Object.keys(ws.data);
        ws.data.url = request.url;
        ws.data = { ...ws.data, before };
      },
      onMessage: (ws) => ws.send(JSON.stringify(ws.data)),
    });
    const clients = [await opened(at.server, `${path}?1`), await opened(at.server, `${path}?2`)];
    for (const client of clients) client.socket.send('1');
    const texts = [await received(clients[0], 1), await received(clients[1], 1)].flat();
    assert.deepEqual(
      texts.map((text) => JSON.parse(text)),
      [1, 2].map((number) => ({ url: `${path}?${number}`, before: [] })),
    );
  });

  test('text arrives as a string and binary as a buffer, whole and in order, and goes back so', async () => {
    const { path, called } = recordingHandler();
    const client = await opened(at.server, path);
    const long = JSON.stringify('é😀'.repeat(20_000));
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256));
    for (const message of ['""', long, Buffer.alloc(0), bytes]) client.socket.send(message);
    const messages = (await called('onMessage', 4)).map(([message]) => message);
    assert.deepEqual(messages, ['""', long, Buffer.alloc(0), bytes]);
    await received(client, 4);
    assert.deepEqual(client.messages, ['', JSON.parse(long), Buffer.alloc(0), bytes]);
  });

  test('onMessage never starts before onConnect has settled, and starts in order then', async () => {
    let settle;
    const { path, calls, called } = recordingHandler({ onConnect: () => new Promise((resolve) => (settle = resolve)) });
    const beside = recordingHandler();
    const client = await opened(at.server, path);
    const other = await opened(at.server, beside.path);
    for (const text of ['1', '2', '3']) client.socket.send(text);
    other.socket.send('0');
    await received(other, 1);
    assert.deepEqual(calls, [['onConnect']]);
    settle();
    assert.deepEqual(await called('onMessage', 3), [['1'], ['2'], ['3']]);
  });

  test('a message can overtake one that is still being handled, on the same connection', async () => {
    let stop;
    const { path, called } = recordingHandler({
      onMessage: async (ws, message) => {
        if (message === '"abort"') return stop();
        await new Promise((resolve) => (stop = resolve));
        return ws.send('"aborted"');
      },
    });
    const client = await opened(at.server, path);
    client.socket.send('"stream"');
    await called('onMessage', 1);
    client.socket.send('"abort"');
    assert.deepEqual(await received(client, 1), ['"aborted"']);
  });

  for (const [how, fail] of [
    ['throws', () => assert.fail('on purpose')],
    ['rejects', () => Promise.reject(new Error('on purpose'))],
    ['rejects later with what is no error', async () => new Promise((_, reject) => setImmediate(reject, 'on purpose'))],
  ]) {
    test(`an onConnect that ${how} closes its connection with 1011 and harms no other`, async () => {
      const beside = recordingHandler();
      const other = await opened(at.server, beside.path);
      const { path, calls, called } = recordingHandler({ onConnect: fail });
      const client = await opened(at.server, path);
      client.socket.send('1');
      assert.equal((await client.closing()).code, 1011);
      await called('onClose');
      assert.deepEqual(
        calls.map(([name]) => name),
        ['onConnect', 'onError', 'onClose'],
      );
      assert.match(calls[1][1], /on purpose/);
      other.socket.send('1');
      await received(other, 1);
    });

    test(`an onMessage that ${how} reaches onError, and the connection goes on`, async () => {
      const { path, called } = recordingHandler({
        onMessage: (ws, message) => (message === '1' ? fail() : ws.send(message)),
        onError: () => fail(),
      });
      const client = await opened(at.server, path);
      client.socket.send('1');
      client.socket.send('2');
      assert.deepEqual(await received(client, 1), ['2']);
      const [[message]] = await called('onError');
      assert.match(message, /on purpose/);
    });
  }

  test('onClose gets what the client said, once: its code and reason, 1005 for none, 1006 for no word', async () => {
    for (const [leave, expected] of [
      [(socket) => socket.close(4001, 'bye ü'), [4001, 'bye ü']],
      [(socket) => socket.close(), [1005, '']],
      [(socket) => socket.terminate(), [1006, '']],
    ]) {
      const { path, called, of, sockets } = recordingHandler();
      const client = await opened(at.server, path);
      await called('onConnect');
      leave(client.socket);
      assert.deepEqual(await called('onClose'), [expected]);
      assert.equal(sockets[0].readyState, sockets[0].CLOSED);
      assert.equal(getConnectionCount(path), 0);
      assert.equal(of('onClose').length, 1);
    }
  });

  test('a handler closes and terminates as with ws', async () => {
    for (const [leave, expected, closed] of [
      [(ws) => ws.close(4002, 'enough'), { code: 4002, reason: 'enough' }, [4002, 'enough']],
      [(ws) => ws.close(1000, Buffer.from('buffer')), { code: 1000, reason: 'buffer' }, [1000, 'buffer']],
      [(ws) => ws.close(), { code: 1005, reason: '' }, [1005, '']],
      [(ws) => ws.terminate(), { code: 1006, reason: '' }, [1006, '']],
    ]) {
      const { path, called } = recordingHandler({
        onMessage: (ws) => {
          ws.send('"last"');
          if (closed[0] === 1006) ws.on('pong', () => leave(ws)).ping();
          else leave(ws);
          if (ws.readyState === ws.CLOSING) leave(ws);
        },
      });
      const client = await opened(at.server, path);
      client.socket.send('1');
      assert.deepEqual(await client.closing(), expected);
      assert.deepEqual(client.texts, ['"last"']);
      assert.deepEqual(await called('onClose'), [closed]);
    }
  });

  test('a handler registered again takes over the connections that are open', async () => {
    const first = recordingHandler({ onMessage: (ws) => ws.send('"first"') });
    const client = await opened(at.server, first.path);
    client.socket.send('1');
    await received(client, 1);
    const second = recordingHandler({ onMessage: (ws) => ws.send('"second"') }, first.path);
    client.socket.send('2');
    assert.deepEqual(await received(client, 2), ['"first"', '"second"']);
    client.socket.close(1000);
    await second.called('onClose');
    assert.deepEqual(first.of('onClose'), []);
    assert.equal(at.server.hub.paths.filter((path) => path === first.path).length, 1);
  });

  test("a handler's path is counted and broadcast to as the fabric is", async () => {
    const { path, called } = recordingHandler();
    const manager = createWebSocketManager();
    assert.equal(manager.getConnectionCount(path), 0);
    const clients = [await opened(at.server, path), await opened(at.server, path)];
    await called('onConnect', 2);
    assert.equal(manager.getConnectionCount(path), 2);
    assert.equal(getConnectionCount(path), 2);
    assert.equal(await manager.broadcast(path, { to: 'all' }), 2);
    for (const client of clients) assert.deepEqual(await received(client, 1), ['{"to":"all"}']);
    clients[0].socket.close();
    await called('onClose');
    assert.equal(manager.getConnectionCount(path), 1);
  });

  test('messages that come with the upgrade are not lost', async () => {
    const { path, called } = recordingHandler();
    const { frame, TEXT, upgradeRequest } = await import('../support/raw-client.mjs');
    const client = await at.server.raw();
    client.write(Buffer.concat([Buffer.from(upgradeRequest(path)), frame(TEXT, 'at'), frame(TEXT, 'once')]));
    assert.equal((await client.response()).status, 101);
    assert.deepEqual(await called('onMessage', 2), [['at'], ['once']]);
    assert.equal((await client.frame()).payload.toString(), 'at');
  });

  test('a refused handshake calls nothing', async () => {
    const { path, calls } = recordingHandler();
    const { upgradeRequest } = await import('../support/raw-client.mjs');
    const client = await at.server.raw();
    client.write(upgradeRequest(path, { headers: { 'Sec-WebSocket-Version': '8' } }));
    assert.equal((await client.response()).status, 426);
    const next = await opened(at.server, path);
    next.socket.send('1');
    await received(next, 1);
    assert.equal(calls.filter(([name]) => name === 'onConnect').length, 1);
  });

  test("'message', 'close' and 'pong' are emitted as ws emits them", async () => {
    const events = [];
    const { path, called } = recordingHandler({
      onConnect: (ws) => {
        ws.on('message', (data, isBinary) => events.push(['message', data, isBinary]));
        ws.on('close', (code, reason) => events.push(['close', code, reason]));
        ws.on('pong', (data) => events.push(['pong', data]));
        ws.on('error', (error) => events.push(['error', error.message]));
        ws.ping('are you there');
      },
      onMessage: () => Promise.reject(new Error('on purpose')),
    });
    const client = await opened(at.server, path);
    await until('the pong', () => events.length === 1);
    client.socket.send('text');
    client.socket.send(Buffer.from([1]));
    await called('onError', 2);
    client.socket.close(4003);
    await called('onClose');
    assert.deepEqual(
      events.filter(([name]) => name !== 'error'),
      [
        ['pong', Buffer.from('are you there')],
        ['message', Buffer.from('text'), false],
        ['message', Buffer.from([1]), true],
        ['close', 4003, Buffer.alloc(0)],
      ],
    );
    assert.deepEqual(
      events.filter(([name]) => name === 'error'),
      [
        ['error', 'on purpose'],
        ['error', 'on purpose'],
      ],
    );
  });
});

describe('what can be registered', () => {
  const nothing = { onConnect() {}, onMessage() {}, onClose() {}, onError() {} };

  test('a handler needs a path below /ws and four functions', () => {
    for (const [handler, message] of [
      [undefined, /an object/],
      [{ ...nothing }, /below \/ws/],
      [{ ...nothing, path: '/agent' }, /below \/ws.*not \/agent/],
      [{ ...nothing, path: '/ws/agent?x=1' }, /below \/ws/],
      [{ ...nothing, path: '/wsx' }, /below \/ws/],
      [{ ...nothing, path: '/ws/agent', onClose: undefined }, /\/ws\/agent must have a function onClose/],
      [{ ...nothing, path: '/ws/fabric' }, /fabricHandler/],
    ]) {
      assert.throws(() => registerHandler(handler), { name: 'HubError', code: 'HUB_INVALID_ARGUMENT', message });
    }
    assert.throws(() => registerHandlers({}), { code: 'HUB_INVALID_ARGUMENT', message: /an array/ });
  });

  test('a list is registered whole or not at all', () => {
    const path = `/ws/${uniqueId('whole')}`;
    assert.throws(() => registerHandlers([{ ...nothing, path }, { path: 'wrong' }]), { code: 'HUB_INVALID_ARGUMENT' });
    registerHandlers([fabricHandler, { ...nothing, path: `${path}-good` }]);
    return HubServer.start().then(async (server) => {
      assert.ok(!server.hub.paths.includes(path));
      assert.ok(server.hub.paths.includes(`${path}-good`));
      assert.equal(server.hub.paths[0], '/ws/fabric');
      await server.close();
    });
  });

  test('a handler registered before a hub runs is served by it, and by the next one', async () => {
    const { path } = recordingHandler();
    for (let round = 0; round < 2; round += 1) {
      const server = await HubServer.start();
      const client = await opened(server, path);
      client.socket.send('1');
      await received(client, 1);
      await server.close();
    }
  });

  test("the manager's registerHandler is the same", async () => {
    const server = await HubServer.start();
    const path = `/ws/${uniqueId('managed')}`;
    createWebSocketManager().registerHandler({ ...nothing, path });
    assert.ok(server.hub.paths.includes(path));
    await server.close();
  });
});
