// The chat transport against a real endpoint, read by the AI SDK itself.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { WebSocketServer } from 'ws';
import { freshThread, Script, settle } from '../support/fake-socket.mjs';
import { until } from '../support/processes.mjs';
import { all, answer, question, send, textOf, transportOf, useStage } from '../support/transport-stage.mjs';

const stage = useStage();

describe('sending', () => {
  test('an answer arrives as the AI SDK wrote it', async () => {
    stage.onRequest = () => answer(['Hel', 'lo']);
    const chunks = await all(await send(transportOf(), freshThread()));
    assert.deepEqual(
      chunks.map(({ type }) => type).filter((type) => type !== 'text-delta'),
      ['start', 'start-step', 'text-start', 'text-end', 'finish-step', 'finish'],
    );
    assert.equal(textOf(chunks), 'Hello');
  });

  test('onRequest gets what the AI SDK posts over HTTP', async () => {
    let data;
    stage.onRequest = (request) => {
      data = request.data;
      return answer([]);
    };
    const chatId = freshThread();
    await all(await send(transportOf(), chatId, { body: { model: 'm' }, metadata: { a: 1 }, messageId: 'q' }));
    assert.deepEqual(data, {
      model: 'm',
      id: chatId,
      messages: [question],
      trigger: 'submit-message',
      messageId: 'q',
      metadata: { a: 1 },
    });
  });

  test('prepareData says what is sent instead', async () => {
    let data;
    stage.onRequest = (request) => {
      data = request.data;
      return answer([]);
    };
    const prepareData = ({ messages }) => ({ last: messages.at(-1) });
    await all(await send(transportOf({ prepareData }), freshThread()));
    assert.deepEqual(data, { last: question });
  });

  test('plain strings of the server become a text', async () => {
    stage.onRequest = async function* () {
      yield* ['plain ', 'text'];
    };
    const chunks = await all(await send(transportOf(), freshThread()));
    assert.deepEqual(
      [chunks[0], chunks.at(-1)],
      [
        { type: 'text-start', id: 'text' },
        { type: 'text-end', id: 'text' },
      ],
    );
    assert.equal(textOf(chunks), 'plain text');
  });

  test('two answers of one chat come over one socket', async () => {
    stage.onRequest = () => answer(['x']);
    const before = stage.wire.connections;
    const [transport, chatId] = [transportOf(), freshThread()];
    await Promise.all([send(transport, chatId), send(transport, chatId)].map(async (sent) => all(await sent)));
    await all(await send(transport, chatId));
    assert.equal(stage.wire.connections, before + 1);
  });

  test('a socket nobody reads from is closed after a while, and opened again', async () => {
    stage.onRequest = () => answer(['x']);
    await until('earlier sockets to close', () => stage.server.count === 0);
    const [transport, chatId] = [transportOf({ idleMs: 5 }), freshThread()];
    await all(await send(transport, chatId));
    await until('the socket to close', () => stage.server.count === 0);
    assert.equal(textOf(await all(await send(transport, chatId))), 'x');
  });

  test('a failure of the server fails the stream with its code', async () => {
    stage.onRequest = () => {
      throw new Error('secret');
    };
    const stream = await send(transportOf(), freshThread());
    await assert.rejects(all(stream), { name: 'AgentError', code: 'STREAM_FAILED', message: 'The stream failed' });
  });
});

describe('close codes', () => {
  /** A server that closes the first connection with `code`, and says how many there were. */
  async function closing(code) {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await new Promise((resolve) => sockets.once('listening', resolve));
    const seen = { connections: 0, close: () => sockets.close() };
    sockets.on('connection', (ws) => {
      seen.connections += 1;
      if (seen.connections === 1) return code === 1006 ? ws.terminate() : ws.close(code, 'why');
      ws.send('{"type":"connected","threadId":"t","streams":[]}');
      ws.on('message', (raw) => {
        const { type, streamId } = JSON.parse(raw);
        if (type !== 'stream') return;
        ws.send(JSON.stringify({ type: 'chunk', threadId: 't', streamId, seq: 1, chunk: { type: 'finish' } }));
        ws.send(JSON.stringify({ type: 'done', threadId: 't', streamId, seq: 1 }));
      });
    });
    seen.url = `ws://127.0.0.1:${sockets.address().port}/`;
    return seen;
  }

  for (const code of [1000, 1001, 1006, 1011, 1012, 1013]) {
    test(`after ${code} it comes back`, async () => {
      const seen = await closing(code);
      const chunks = await all(await send(transportOf({ url: seen.url }), freshThread()));
      assert.deepEqual(chunks, [{ type: 'finish' }]);
      assert.equal(seen.connections, 2);
      seen.close();
    });
  }

  for (const code of [1002, 1003, 1007, 1008, 1009, 4401, 4403, 4499]) {
    test(`after ${code} it stops`, async () => {
      const seen = await closing(code);
      const stream = await send(transportOf({ url: seen.url }), freshThread());
      await assert.rejects(all(stream), { code: 'CLOSED', message: `The server closed the connection: ${code} why` });
      assert.equal(seen.connections, 1);
      seen.close();
    });
  }

  test('a thread one may not join fails sending and resuming', async () => {
    const transport = transportOf();
    const chatId = `forbidden-${freshThread()}`;
    await assert.rejects(all(await send(transport, chatId)), { code: 'CLOSED', message: /4403 Forbidden/ });
    await assert.rejects(transport.reconnectToStream({ chatId }), { code: 'CLOSED' });
  });
});

describe('aborting', () => {
  test('the signal ends the stream on the server and here', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const abort = new AbortController();
    const stream = await send(transportOf(), freshThread(), { abortSignal: abort.signal });
    const reader = stream.getReader();
    script.write({ type: 'start' });
    await reader.read();
    abort.abort();
    await assert.rejects(reader.read(), { name: 'AbortError' });
    await until('the producer to be told', () => script.request.signal.aborted);
  });

  test('an abort while the connection is down is told when it is back', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const abort = new AbortController();
    const stream = await send(transportOf(), freshThread(), { abortSignal: abort.signal });
    const reader = stream.getReader();
    script.write({ type: 'start' });
    await reader.read();
    stage.wire.down();
    abort.abort();
    await assert.rejects(reader.read(), { name: 'AbortError' });
    await settle();
    assert.equal(script.request.signal.aborted, false);
    stage.wire.up();
    await until('the producer to be told', () => script.request.signal.aborted);
  });

  test('a signal that was aborted before sends nothing', async () => {
    let asked = 0;
    stage.onRequest = () => ((asked += 1), answer([]));
    const transport = transportOf();
    const chatId = freshThread();
    await assert.rejects(send(transport, chatId, { abortSignal: AbortSignal.abort() }), { name: 'AbortError' });
    assert.equal(await transport.reconnectToStream({ chatId }), null);
    assert.equal(asked, 0);
  });

  test('cancelling the stream stops reading and lets the answer go on for others', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const chatId = freshThread();
    const [one, two] = [transportOf(), transportOf()];
    const stream = await send(one, chatId);
    const reader = stream.getReader();
    script.write({ type: 'start' });
    await reader.read();
    const watching = all(await two.reconnectToStream({ chatId }));
    await reader.cancel();
    script.write({ type: 'finish' });
    script.end();
    assert.deepEqual(await watching, [{ type: 'start' }, { type: 'finish' }]);
    assert.equal(script.request.signal.aborted, false);
  });

  test('others see that the stream was aborted', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const chatId = freshThread();
    const abort = new AbortController();
    const stream = await send(transportOf(), chatId, { abortSignal: abort.signal });
    script.write({ type: 'start' });
    await stream.getReader().read();
    const watched = await transportOf().reconnectToStream({ chatId });
    abort.abort();
    assert.deepEqual(await all(watched), [{ type: 'start' }, { type: 'abort' }]);
  });

  test('a reading that another of the same stream replaces does not end it', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const [transport, chatId] = [transportOf(), freshThread()];
    await send(transportOf(), chatId);
    await until('the stream to start', () => script.request);
    const first = new AbortController();
    await transport.reconnectToStream({ chatId, abortSignal: first.signal });
    first.abort();
    const again = await transport.reconnectToStream({ chatId });
    script.write({ type: 'finish' });
    script.end();
    assert.deepEqual(await all(again), [{ type: 'finish' }]);
    assert.equal(script.request.signal.aborted, false);
  });
});
