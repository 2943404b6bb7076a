// Which handler serves a path, and with which subprotocol.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe } from 'node:test';
import WebSocket from 'ws';
import { createWebSocketManager, registerHandler, registerHandlers } from '../../js/index.js';
import { recordingHandler } from '../support/handlers.mjs';
import { overEveryWay, uniqueId, WAYS } from '../support/hub-server.mjs';

const manager = createWebSocketManager();

/** Opens a path and answers what was said first, or how it ended. */
async function visit(at, target, protocols = []) {
  const socket = new WebSocket(`${at.server.base}${target}`, protocols, { rejectUnauthorized: false });
  const outcome = await new Promise((done) => {
    socket.on('message', (text) => done(text.toString()));
    socket.on('close', (code, reason) => done(`${code} ${reason}`));
    socket.on('error', (error) => done(error.message));
  });
  const { protocol } = socket;
  socket.terminate();
  return { outcome, protocol };
}

const naming = (name, path, more = {}) =>
  recordingHandler(
    { ...more, onConnect: (ws) => ws.send(`${name} ${JSON.stringify(ws.subpath)} ${ws.protocol}`) },
    path,
  );

overEveryWay(
  (at) => {
    test('a handler owns what is below its path where that ends in /*, and can read the rest', async () => {
      const root = `/ws/${uniqueId('own')}`;
      naming('all', `${root}/*`);
      for (const [target, subpath] of [
        ['/room1', 'room1'],
        ['/', ''],
        ['/a/b/', 'a/b/'],
        ['//', '/'],
        ['/r%20%C3%A4%2Fx?token=1', 'r ä/x'],
        ['/%zz', '%zz'],
        ['/..%2f', '../'],
        ['/*', '*'],
      ]) {
        const { outcome } = await visit(at, `${root}${target}`);
        assert.equal(outcome, `all ${JSON.stringify(subpath)} `, target);
      }
      for (const target of ['', 'x', 'x/room1', '?/room1']) {
        const { outcome } = await visit(at, `${root}${target}`);
        assert.match(outcome, /^1003 No handler for /, target);
      }
    });

    test('the very path goes before a beginning, and the longest beginning before others, in whatever order', async () => {
      const root = `/ws/${uniqueId('order')}`;
      naming('long', `${root}/a/b/*`);
      naming('short', `${root}/*`);
      naming('exact', `${root}/a/b/c`);
      naming('middle', `${root}/a/*`);
      const outcomes = [];
      for (const target of ['/a/b/c', '/a/b/d', '/a/c', '/d', '/a/b/c/d']) {
        outcomes.push((await visit(at, `${root}${target}`)).outcome.trim());
      }
      assert.deepEqual(outcomes, ['exact ""', 'long "d"', 'middle "c"', 'short "d"', 'long "c/d"']);
    });

    test('connections below a beginning are counted and reached under it, and it is replaced as one', async () => {
      const path = `/ws/${uniqueId('counted')}/*`;
      naming('first', path);
      const sockets = ['x', 'y'].map(
        (room) => new WebSocket(`${at.server.base}${path.replace('*', room)}`, { rejectUnauthorized: false }),
      );
      await Promise.all(sockets.map((socket) => once(socket, 'message')));
      assert.equal(manager.getConnectionCount(path), 2);
      const heard = sockets.map((socket) => once(socket, 'message'));
      assert.equal(await manager.broadcast(path, 'to all'), 2);
      for (const [text] of await Promise.all(heard)) assert.equal(text.toString(), 'to all');
      naming('second', path);
      assert.equal((await visit(at, path.replace('*', 'z'))).outcome.trim(), 'second "z"');
      for (const socket of sockets) socket.terminate();
    });

    test('a client that names subprotocols is answered the first, as by ws, on every endpoint', async () => {
      const { path } = naming('any');
      assert.deepEqual(await visit(at, path, ['b.2', 'a']), { outcome: 'any "" b.2', protocol: 'b.2' });
      const fabric = await visit(at, `/ws/fabric?documentId=${uniqueId()}&clientID=c`, ['x', 'y']);
      assert.equal(fabric.protocol, 'x');
      assert.match(fabric.outcome, /"type":"connected"/);
      const nobodys = await visit(at, `/ws/${uniqueId('nobody')}`, ['x']);
      assert.match(nobodys.outcome, /^1003 /, 'a browser must see the close code');
    });

    test('handleProtocols of a handler chooses among what is offered, or takes none', async () => {
      const asked = [];
      const { path } = naming('choosing');
      const choose = (answer) =>
        registerHandler({
          path,
          onConnect: (ws) => ws.send(`chosen ${JSON.stringify(ws.protocol)}`),
          onMessage() {},
          onClose() {},
          onError() {},
          handleProtocols(protocols, request) {
            asked.push([[...protocols], request.url]);
            if (answer instanceof Error) throw answer;
            return answer;
          },
        });
      choose('b');
      assert.deepEqual(await visit(at, path, ['a', 'b']), { outcome: 'chosen "b"', protocol: 'b' });
      assert.deepEqual(asked, [[['a', 'b'], path]]);
      assert.equal((await visit(at, path)).outcome, 'chosen ""', 'not asked where nothing is offered');
      assert.equal(asked.length, 1);
      for (const none of [false, undefined, '', 'not offered', 7, new Error('no')]) {
        choose(none);
        // The package ws fails where it offered some and got none; the handshake is right all the same.
        assert.equal((await visit(at, path, ['a'])).outcome, 'Server sent no subprotocol', String(none));
      }
    });
  },
  { ways: WAYS.slice(0, 2) },
);

describe('a path that cannot be served', () => {
  const handler = { onConnect() {}, onMessage() {}, onClose() {}, onError() {} };
  for (const path of ['/ws/*/x', '/ws/a*', '/ws/**', '/ws/a/*/', '/ws*', '/*', '/ws/a/*?x', '/ws/a b/*']) {
    test(`is refused: ${path}`, () => {
      assert.throws(() => registerHandlers([{ ...handler, path }]), { code: 'HUB_INVALID_ARGUMENT' });
    });
  }

  test('is refused where its handleProtocols is no function', () => {
    assert.throws(() => registerHandler({ ...handler, path: '/ws/protocols', handleProtocols: 'a' }), {
      code: 'HUB_INVALID_ARGUMENT',
      message: /handleProtocols/,
    });
  });
});
