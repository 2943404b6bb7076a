// The chat transport where the network or the server is gone, or silent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { AgentChatTransport } from '../../js/agent-client.mjs';
import { piecesOf, randomOf } from '../support/agent-server.mjs';
import { freshThread, Script, settle } from '../support/fake-socket.mjs';
import { all, answer, send, textOf, transportOf, useStage } from '../support/transport-stage.mjs';

const stage = useStage();

describe('cuts', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`with seed ${seed} the text is whole after many cuts`, { timeout: 60_000 }, async () => {
      const random = randomOf(seed);
      const pieces = piecesOf(random, 2000);
      const pause = () => (random() < 0.1 ? new Promise((resolve) => setTimeout(resolve, 2)) : undefined);
      let asked = 0;
      stage.onRequest = () => ((asked += 1), answer(pieces, { pause }));
      const before = stage.wire.connections;
      stage.wire.cutAfter(10);
      const stream = await send(transportOf(), freshThread());
      const chunks = [];
      const reader = stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        chunks.push(value);
        if (random() < 0.05) stage.wire.cutAfter(Math.floor(random() * 3000));
      }
      assert.ok(Buffer.from(textOf(chunks)).equals(Buffer.from(pieces.join(''))));
      assert.equal(asked, 1, 'the model was asked once, however often the client came back');
      assert.ok(stage.wire.connections > before + 3, `${stage.wire.connections - before} connections`);
    });
  }

  test('a stream that ends while nobody is connected arrives whole', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const stream = await send(transportOf(), freshThread());
    const reader = stream.getReader();
    script.write({ type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'before ' });
    await reader.read();
    await reader.read();
    stage.wire.down();
    script.write({ type: 'text-delta', id: 't', delta: 'while away' }, { type: 'finish' });
    script.end();
    await settle();
    stage.wire.up();
    const rest = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) rest.push(next.value);
    assert.deepEqual(rest, [{ type: 'text-delta', id: 't', delta: 'while away' }, { type: 'finish' }]);
  });

  test('a server that cannot be reached for giveUpMs fails the stream with UNREACHABLE', async () => {
    stage.wire.down();
    const stream = await send(transportOf({ giveUpMs: 50 }), freshThread());
    await assert.rejects(all(stream), { code: 'UNREACHABLE' });
  });

  test('the wait between two tries is random, doubles and ends at longestRetryMs', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    t.mock.method(Math, 'random', () => 0.5);
    const tries = [];
    class Refusing {
      constructor() {
        tries.push(this);
      }
      close() {}
    }
    const transport = transportOf({ WebSocket: Refusing, longestRetryMs: 2000 });
    send(transport, freshThread()).then((stream) => stream.cancel().catch(() => {}));
    for (const wait of [275, 550, 1100, 1100]) {
      tries.at(-1).onclose({ code: 1006, reason: '' });
      const before = tries.length;
      t.mock.timers.tick(wait - 1);
      assert.equal(tries.length, before);
      t.mock.timers.tick(1);
      assert.equal(tries.length, before + 1);
    }
    transport.close();
  });
});

describe('a connection that went silent', { timeout: 30_000 }, () => {
  /**
   * A server that takes the first connection and answers nothing more after `said` messages; later ones are well. It names the
   * streams that it has, unless it has yet to find them in other processes.
   */
  async function halfOpen(said, { names = true } = {}) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    let connections = 0;
    const streams = new Set();
    server.on('connection', (ws) => {
      const isFirst = connections++ === 0;
      let left = isFirst ? said : Infinity;
      const send = (message) => left-- > 0 && ws.send(typeof message === 'string' ? message : JSON.stringify(message));
      const named = names ? [...streams] : [];
      send({ type: 'connected', streams: named.map((streamId) => ({ streamId, state: 'running', seq: 1 })) });
      ws.on('message', (text) => {
        const { type, streamId, seq } = JSON.parse(text);
        if (left <= 0) return;
        if (type === 'ping') send({ type: 'pong' });
        if (type !== 'stream' && type !== 'recover') return;
        streams.add(streamId);
        send('plain text');
        send('null');
        send({ type: 'started', streamId });
        for (let n = (seq ?? 0) + 1; n <= 3; n++) send({ type: 'chunk', streamId, seq: n, chunk: { n } });
        send({ type: 'done', streamId, seq: 3 });
      });
    });
    const transport = new AgentChatTransport({
      url: `ws://127.0.0.1:${server.address().port}/ws/agent`,
      ...{ WebSocket, storage: null, silenceMs: 300, answerTimeoutMs: 300, longestRetryMs: 30, idleMs: 10 },
    });
    return { server, transport, connections: () => connections };
  }

  for (const [when, said] of [
    ['before it said anything', 0],
    ['before the question', 1],
    ['before the first chunk', 4],
    ['after the first chunk', 5],
    ['after the last chunk', 7],
  ]) {
    test(`${when} is left, and each chunk arrives once`, async () => {
      const { server, transport, connections } = await halfOpen(said);
      const chunks = [];
      for await (const chunk of await transport.sendMessages({ chatId: 'c', messages: [] })) chunks.push(chunk.n);
      assert.deepEqual([chunks, connections()], [[1, 2, 3], 2]);
      transport.close();
      for (const client of server.clients) client.terminate();
      server.close();
    });
  }

  test('is left, and a stream that the server does not name is asked for all the same', async () => {
    const { server, transport } = await halfOpen(5, { names: false });
    const chunks = [];
    for await (const chunk of await transport.sendMessages({ chatId: 'c', messages: [] })) chunks.push(chunk.n);
    assert.deepEqual(chunks, [1, 2, 3]);
    transport.close();
    for (const client of server.clients) client.terminate();
    server.close();
  });
});

describe('a server that is not there', { timeout: 30_000 }, () => {
  test('fails a question and a resume after unansweredMs, not after giveUpMs', async () => {
    const transport = new AgentChatTransport({
      ...{ url: 'ws://127.0.0.1:1/', WebSocket, storage: null, unansweredMs: 60, giveUpMs: 1e6, longestRetryMs: 20 },
    });
    const resuming = assert.rejects(transport.reconnectToStream({ chatId: 'r' }), { code: 'UNREACHABLE' });
    const stream = await transport.sendMessages({ chatId: 'q', messages: [] });
    await assert.rejects(stream.getReader().read(), { code: 'UNREACHABLE' });
    await resuming;
  });

  test('fails a resume that a question has overtaken with the error of the question', async () => {
    const transport = new AgentChatTransport({
      ...{ url: 'ws://127.0.0.1:1/', WebSocket, storage: null, unansweredMs: 60, longestRetryMs: 20 },
    });
    const resuming = assert.rejects(transport.reconnectToStream({ chatId: 'r' }), { code: 'UNREACHABLE' });
    const stream = await transport.sendMessages({ chatId: 'r', messages: [] });
    await assert.rejects(stream.getReader().read(), { code: 'UNREACHABLE' });
    await resuming;
  });
});

test('a message that is too long is refused before it is sent, and the next one is answered', async () => {
  const transport = new AgentChatTransport({
    url: 'ws://127.0.0.1:1/',
    WebSocket,
    storage: null,
    maxMessageBytes: 2000,
  });
  const messages = [{ text: 'x'.repeat(2000) }];
  await assert.rejects(transport.sendMessages({ chatId: 'c', messages }), { code: 'MESSAGE_TOO_LARGE' });
  transport.close();
});
