// What libraries that were written for npm `ws` 8 find on a handler's socket.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { pipeline } from 'node:stream/promises';
import test from 'node:test';
import WebSocket, { createWebSocketStream } from 'ws';
import { recordingHandler } from '../support/handlers.mjs';
import { overEveryWay, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

/** A client and the handler's socket of its connection; the handler's own callback does nothing. */
async function connected(at, onConnect = () => {}) {
  const handler = recordingHandler({ onConnect, onMessage() {} });
  const client = new WebSocket(`${at.server.base}${handler.path}`, { rejectUnauthorized: false });
  await once(client, 'open');
  await handler.called('onConnect');
  return { handler, client, ws: handler.sockets[0] };
}

overEveryWay(
  (at) => {
    test('onmessage, onclose and addEventListener get events as in ws', async () => {
      const { client, ws } = await connected(at);
      const events = [];
      const note = (event) => events.push([event.type, event.target === ws, event.data ?? event.code, event.reason]);
      const replaced = () => assert.fail('it was replaced');
      ws.onmessage = replaced;
      ws.onmessage = note;
      assert.equal(ws.onmessage, note);
      const once = (event) => events.push(['once', event.data]);
      ws.addEventListener('message', once, { once: true });
      ws.addEventListener('message', once, { once: true });
      const object = { handleEvent: ({ data }) => events.push(['object', data]) };
      ws.addEventListener('message', object);
      ws.addEventListener('no such type', note);
      ws.onclose = note;
      client.send('hi');
      await until('three events', () => events.length >= 3);
      ws.removeEventListener('message', object);
      ws.onmessage = null;
      assert.equal(ws.onmessage, null);
      const heard = new Promise((done) => ws.on('message', (data, isBinary) => done([data.toString(), isBinary])));
      client.send('unheard by them');
      assert.deepEqual(await heard, ['unheard by them', false]);
      client.close(4001, 'bye');
      await until('the close', () => events.length >= 4);
      assert.deepEqual(events, [
        ['message', true, 'hi', undefined],
        ['once', 'hi'],
        ['object', 'hi'],
        ['close', true, 4001, 'bye'],
      ]);
    });

    test('binaryType says what binary messages are, and text is text in each', async () => {
      const { client, ws } = await connected(at);
      const bytes = Buffer.from([1, 2, 250]);
      const check = {
        nodebuffer: (data) => assert.ok(Buffer.isBuffer(data) && data.equals(bytes)),
        arraybuffer: (data) => assert.ok(data instanceof ArrayBuffer && Buffer.from(data).equals(bytes)),
        fragments: (data) => assert.ok(Array.isArray(data) && Buffer.concat(data).equals(bytes)),
      };
      assert.equal(ws.binaryType, 'nodebuffer');
      for (const [type, isRight] of Object.entries(check)) {
        ws.binaryType = type;
        const [binary] = await Promise.all([once(ws, 'message'), client.send(bytes)]);
        isRight(binary[0]);
        assert.equal(binary[1], true);
        const event = new Promise((done) => (ws.onmessage = done));
        client.send('text');
        assert.equal((await event).data, 'text', type);
        ws.onmessage = null;
      }
      assert.throws(() => (ws.binaryType = 'blob'), { code: 'HUB_INVALID_ARGUMENT' });
      client.terminate();
    });

    test('nothing comes while it is paused, then all of it in order, and the client is held back meanwhile', async () => {
      const { client, ws, handler } = await connected(at);
      const count = 400;
      const text = (index) => `${index} `.padEnd(64 * 1024, 'x');
      ws.pause();
      assert.equal(ws.isPaused, true);
      for (let index = 0; index < count; index += 1) client.send(text(index));
      let before = -1;
      await until('the client to be held back', async () => {
        const waits = client.bufferedAmount;
        const isHeld = waits > 0 && waits === before;
        before = waits;
        await new Promise((done) => setTimeout(done, 100));
        return isHeld;
      });
      assert.equal(handler.of('onMessage').length, 0);
      const heard = [];
      ws.on('message', (data) => {
        heard.push(Number.parseInt(data.toString(), 10));
        // As a slow reader does it, in the middle of what is handed on.
        if (heard.length % 7 === 0) {
          ws.pause();
          setImmediate(() => ws.resume());
        }
      });
      ws.resume();
      assert.equal(ws.isPaused, false);
      await until('all to come', () => heard.length === count);
      assert.deepEqual(
        heard,
        Array.from({ length: count }, (_, index) => index),
      );
      assert.equal(handler.of('onMessage').length, count);
      client.terminate();
    });

    test('what came before a close comes before it also while it is paused', async () => {
      const order = [];
      const { client, ws } = await connected(at, (socket) => socket.pause());
      ws.on('message', (data) => order.push(data.toString()));
      ws.on('close', () => order.push('close'));
      client.send('one');
      client.send('two');
      client.close();
      await until('the close', () => order.includes('close'));
      assert.deepEqual(order, ['one', 'two', 'close']);
      ws.resume();
      await turn();
      assert.equal(order.length, 3);
    });

    test('a stream over it loses nothing to a slow reader, and ends with the connection', async () => {
      const { client, ws } = await connected(at);
      const stream = createWebSocketStream(ws, { readableHighWaterMark: 1024 });
      const sent = Buffer.alloc(500_000, 'abc');
      const writing = pipeline(
        (async function* () {
          for (let start = 0; start < sent.length; start += 1000) yield sent.subarray(start, start + 1000);
        })(),
        createWebSocketStream(client),
      ).catch(() => {});
      const read = [];
      for await (const chunk of stream) {
        read.push(chunk);
        if (read.length % 50 === 0) await turn();
      }
      await writing;
      assert.ok(Buffer.concat(read).equals(sent));
    });

    test('what is written to a stream over it arrives whole, and its end closes the connection', async () => {
      const { client, ws } = await connected(at);
      const received = [];
      client.on('message', (data) => received.push(data));
      const stream = createWebSocketStream(ws);
      const ends = Promise.all([once(client, 'close'), once(stream, 'close')]);
      stream.write('one ');
      stream.write(Buffer.from('two'));
      stream.end();
      stream.resume();
      await ends;
      assert.equal(Buffer.concat(received).toString(), 'one two');
    });

    test('pongs that nobody asked for go out, with data and a callback', async () => {
      const { client, ws } = await connected(at);
      const pong = once(client, 'pong');
      await new Promise((done) => ws.pong('here', false, done));
      assert.equal((await pong)[0].toString(), 'here');
      assert.throws(() => ws.pong(Buffer.alloc(126)), RangeError);
      client.terminate();
    });

    test('what cannot be there throws at once and says so', async () => {
      const { client, ws } = await connected(at);
      assert.throws(() => ws.send('half', { fin: false }), { code: 'HUB_INVALID_ARGUMENT', message: /fragments/ });
      assert.throws(() => ws.send('masked', { mask: true }), { code: 'HUB_INVALID_ARGUMENT', message: /mask/ });
      ws.send('whole', { fin: true, compress: true, binary: false });
      assert.equal((await once(client, 'message'))[0].toString(), 'whole');
      assert.equal(ws.extensions, '');
      assert.equal(typeof ws._socket.remoteAddress, 'string');
      client.terminate();
    });
  },
  { ways: WAYS.slice(0, 2), maxInboxBytes: 256 * 1024 },
);
