// Rooms of handlers: who gets what, in which order, and what of it is left when everybody has gone.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe } from 'node:test';
import WebSocket from 'ws';
import { createWebSocketManager, getConnectionCount, publish } from '@captify-io/hub';
import { HubServer, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { recordingHandler } from '../support/handlers.mjs';
import { until } from '../support/processes.mjs';

/** The npm package `ws`, with what it got: text as text, bytes as bytes. */
class Client {
  messages = [];
  texts = [];

  constructor(url) {
    this.socket = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false });
    this.socket.on('message', (data, isBinary) => {
      this.messages.push(isBinary ? data : data.toString());
      this.texts.push(data.toString());
    });
    this.socket.on('error', () => {});
  }
}

const received = (client, count) =>
  until(`${count} messages`, () => (client.texts.length >= count ? client.texts : null), { everyMs: 2 });

/** A handler with as many clients, each with its socket on the handler's side. */
async function scene(server, count, callbacks) {
  const { path, sockets, called } = recordingHandler(callbacks);
  const clients = [];
  for (let index = 0; index < count; index += 1) {
    const client = new Client(`${server.base}${path}`);
    await once(client.socket, 'open');
    await called('onConnect', index + 1);
    clients.push(client);
  }
  return { path, sockets, clients, called };
}

/** Resolves once each client has got this. */
const all = (clients, texts) =>
  Promise.all(clients.map(async (client) => assert.deepEqual(await received(client, texts.length), texts)));

const rejects = (promise, code, words) => assert.rejects(promise, { name: 'HubError', code, message: words });

overEveryWay((at) => {
  test('a publication reaches every member, as text or as bytes, but for the one that is excepted', async () => {
    const { path, sockets, clients } = await scene(at.server, 5);
    for (const ws of sockets.slice(1)) assert.equal(ws.join('room'), true);
    assert.equal(sockets[1].join('room'), true, 'it is in it already');
    assert.equal(await publish(path, 'room', 'é😀'), 4);
    assert.equal(await publish(path, 'room', 'to the others', { except: sockets[4] }), 3);
    assert.equal(await publish(path, 'room', 'to all', { except: sockets[0] }), 4, 'who is no member is no exception');
    assert.equal(await createWebSocketManager().publish(path, 'room', Buffer.from([0, 255])), 4);
    assert.equal(await publish(path, 'room', new Uint16Array([1]).subarray(0)), 4);
    assert.equal(await publish(path, 'room', new ArrayBuffer(2)), 4);
    assert.equal(await publish(path, 'another', 'x'), 0);
    assert.equal(await publish('/ws/nowhere', 'room', 'x'), 0);
    const bytes = [Buffer.from([0, 255]), Buffer.from([1, 0]), Buffer.from([0, 0])].map(String);
    await all(clients.slice(1, 4), ['é😀', 'to the others', 'to all', ...bytes]);
    await all(clients.slice(4), ['é😀', 'to all', ...bytes]);
    assert.deepEqual(clients[1].messages.at(-2), Buffer.from([1, 0]), 'it came as binary');
    assert.deepEqual(clients[0].texts, []);
  });

  test('what a connection is sent and what is published to its rooms arrives in the order of the calls', async () => {
    const { path, sockets, clients } = await scene(at.server, 3);
    const expected = [];
    const [ws] = sockets;
    ws.send('before its first room');
    for (const each of sockets) each.join('room');
    for (let round = 0; round < 50; round += 1) {
      ws.send(`a${round}`);
      publish(path, 'room', `b${round}`);
      ws.leave('room');
      publish(path, 'room', 'not for it');
      ws.send(Buffer.from(`c${round}`));
      ws.join('room');
      publish(path, 'room', `d${round}`);
      expected.push(`a${round}`, `b${round}`, `c${round}`, `d${round}`);
      // Some of them share a turn, some do not.
      if (round % 3 === 0) await new Promise(setImmediate);
    }
    await all(clients.slice(0, 1), ['before its first room', ...expected]);
    await received(clients[1], 150);
    assert.deepEqual(clients[1].texts, clients[2].texts);
  });

  test('a publication within a handler goes before the answers that follow it', async () => {
    const { path, sockets, clients } = await scene(at.server, 2, {
      onMessage(ws, message) {
        publish(path, 'room', message, { except: ws });
        ws.send('published');
      },
    });
    for (const ws of sockets) ws.join('room');
    clients[0].socket.send('hello');
    await all(clients.slice(0, 1), ['published']);
    await all(clients.slice(1), ['hello']);
  });

  test('a connection that ends is in no room any more, and neither is one that is about to', async () => {
    const { path, sockets, clients, called } = await scene(at.server, 6);
    for (const ws of sockets) ws.join('room');
    sockets[0].close(4000);
    sockets[1].terminate();
    assert.equal(await publish(path, 'room', 'hello'), 4);
    assert.deepEqual([sockets[0].join('room'), sockets[0].leave('room')], [false, false]);
    clients[2].socket.close();
    clients[3].socket.terminate();
    await called('onClose', 4);
    assert.equal(await publish(path, 'room', 'again'), 2);
    await all(clients.slice(4), ['hello', 'again']);
    for (const client of clients) client.socket.terminate();
    await called('onClose', 6);
    assert.equal(await publish(path, 'room', 'to nobody'), 0);
    assert.equal(getConnectionCount(path), 0);
  });

  test('bufferedAmount, flushed and the callbacks of a member count what is on its way', async () => {
    const { path, sockets, clients } = await scene(at.server, 2);
    const [ws] = sockets;
    ws.join('room');
    publish(path, 'room', 'x'.repeat(1000));
    ws.send('y'.repeat(1000));
    assert.equal(ws.bufferedAmount, 2 * 1004);
    const told = new Promise((resolve) => ws.send('z', resolve));
    assert.equal(await ws.flushed(), true);
    assert.equal(await told, undefined);
    assert.equal(ws.bufferedAmount, 0);
    ws.ping('now');
    const [payload] = await once(ws, 'pong');
    assert.equal(payload.toString(), 'now');
    clients[0].socket.terminate();
    await once(ws, 'close');
    assert.deepEqual([ws.bufferedAmount, await ws.flushed()], [0, false]);
  });
});

describe('bounds', () => {
  let server;
  test.before(async () => (server = await HubServer.start({ maxOutboxBytes: 1024 * 1024, limits: false })));
  test.after(() => server.close());

  test('what is no room, path, message or socket is refused by its name', async () => {
    const { path, sockets } = await scene(server, 1);
    const [ws] = sockets;
    const invalid = { name: 'HubError', code: 'HUB_INVALID_ARGUMENT' };
    for (const room of ['', undefined, 7, 'x'.repeat(513), 'é'.repeat(257), '\ud800']) {
      assert.throws(() => ws.join(room), { ...invalid, message: /^room / }, String(room));
      assert.throws(() => ws.leave(room), { ...invalid, message: /^room / }, String(room));
      await rejects(publish(path, room, 'x'), 'HUB_INVALID_ARGUMENT', /^room /);
    }
    assert.equal(ws.join('é'.repeat(256)), true);
    assert.throws(() => ws.join('room', { slowAboveBytes: -1 }), { ...invalid, message: /^slowAboveBytes / });
    for (const message of [undefined, null, 7, {}, ['x'], '\udc00']) {
      await rejects(publish(path, 'room', message), 'HUB_INVALID_ARGUMENT', /^message /);
    }
    for (const where of ['/else', 7, '/ws/a b']) {
      await rejects(publish(where, 'room', 'x'), 'HUB_INVALID_ARGUMENT', /^path /);
    }
    for (const except of [null, 7, {}, new EventTarget()]) {
      await rejects(publish(path, 'room', 'x', { except }), 'HUB_INVALID_ARGUMENT', /^except /);
    }
  });

  test('a connection is in a thousand rooms at most', async () => {
    const { path, sockets, clients } = await scene(server, 1);
    const [ws] = sockets;
    for (let number = 0; number < 1000; number += 1) ws.join(`room ${number}`);
    assert.throws(() => ws.join('one more'), { name: 'HubError', code: 'HUB_TOO_MANY_ROOMS' });
    assert.equal(ws.leave('room 500'), true);
    assert.equal(ws.join('one more'), true);
    for (let number = 0; number < 1000; number += 1) publish(path, `room ${number}`, String(number));
    await received(clients[0], 999);
    assert.equal(clients[0].texts.includes('500'), false);
  });

  test('rooms of one name are apart where their handlers are, and one handler serves all its paths', async () => {
    const beginning = `/ws/${uniqueId('many')}`;
    const { sockets, called } = recordingHandler({}, `${beginning}/*`);
    const other = await scene(server, 1);
    const clients = ['one', 'two'].map((name) => new Client(`${server.base}${beginning}/${name}`));
    await called('onConnect', 2);
    for (const ws of [...sockets, ...other.sockets]) ws.join('room');
    assert.equal(await publish(`${beginning}/*`, 'room', 'hello'), 2);
    assert.equal(await publish(`${beginning}/one`, 'room', 'x'), 0, 'it is no handler’s path');
    assert.equal(await publish(other.path, 'room', 'apart'), 1);
    await all(clients, ['hello']);
    await all(other.clients, ['apart']);
  });

  test('a member that does not read emits slow once, and is closed with 1013 above the bound', async () => {
    const { path, sockets, clients } = await scene(server, 3);
    const slow = [];
    for (const ws of sockets) {
      ws.on('slow', (room) => slow.push([sockets.indexOf(ws), room]));
      ws.join('room', { slowAboveBytes: 300_000 });
    }
    clients[0].socket.pause();
    const message = 'x'.repeat(100_000);
    let published = 0;
    for (; sockets[0].readyState === 1 && published < 1000; published += 1) {
      publish(path, 'room', message);
      await Promise.all(clients.slice(1).map((client) => received(client, published + 1)));
    }
    assert.ok(published < 1000, 'it was never closed');
    assert.deepEqual(slow, [[0, 'room']]);
    clients[0].socket.resume();
    const [code] = await once(clients[0].socket, 'close');
    assert.equal(code, 1013);
  });

  test('more than may be on its way in one turn is refused with HUB_OVERLOADED, and nothing of it is sent', async () => {
    const { path, sockets, clients } = await scene(server, 1);
    sockets[0].join('room');
    const huge = Buffer.alloc(70 * 1024 * 1024);
    const calls = [huge, huge, huge].map((message) => publish(path, 'room', message));
    const settled = await Promise.allSettled(calls);
    assert.equal(settled[0].value, 1);
    const refused = settled.filter(({ status }) => status === 'rejected');
    for (const { reason } of refused) assert.equal(reason.code, 'HUB_OVERLOADED');
    clients[0].socket.terminate();
  });

  test('thousands of joins, leaves and publications to nobody leave nothing behind', async () => {
    const { path, sockets, called } = await scene(server, 1);
    const [ws] = sockets;
    for (let number = 0; number < 20_000; number += 1) {
      ws.join(`room ${number}`);
      ws.leave(`room ${number}`);
      publish(path, `room ${number}`, 'to nobody');
    }
    ws.join('room');
    assert.equal(await publish(path, 'room', 'hello'), 1);
    ws.close();
    await called('onClose');
    assert.equal(await publish(path, 'room', 'hello'), 0);
  });
});

test('without a hub a publication is refused, and what was published in the turn that ends one arrives', async () => {
  await rejects(publish('/ws/nothing', 'room', 'x'), 'HUB_NOT_RUNNING', /No hub runs/);
  const server = await HubServer.start();
  const { path, sockets, clients } = await scene(server, 3);
  for (const ws of sockets) ws.join('room');
  const closed = clients.map((client) => once(client.socket, 'close'));
  assert.equal(await publish(path, 'room', 'first'), 3);
  publish(path, 'room', 'last');
  const ended = server.hub.close({ timeoutMs: 2000 });
  for (const [code] of await Promise.all(closed)) assert.equal(code, 1012);
  await all(clients, ['first', 'last']);
  await ended;
  await rejects(publish(path, 'room', 'x'), 'HUB_NOT_RUNNING', /No hub runs/);
  await server.close();
});
