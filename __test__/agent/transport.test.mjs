// The chat transport against a real endpoint, read by the AI SDK itself.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import test, { after, afterEach, before, beforeEach, describe } from 'node:test';
import { gzipSync } from 'node:zlib';
import { AbstractChat } from 'ai';
import WebSocket, { WebSocketServer } from 'ws';
import { AgentChatTransport } from '../../js/agent-client.mjs';
import { createAgentHandler } from '../../js/agent.js';
import { AgentServer, piecesOf, randomOf, Wire } from '../support/agent-server.mjs';
import { freshThread, Script, settle } from '../support/fake-socket.mjs';
import { until } from '../support/processes.mjs';

let server;
let wire;
let onRequest;
let transports = [];

function handlerOf() {
  return createAgentHandler({
    path: '/ws/transport',
    onRequest: (request) => onRequest(request),
    authorize: ({ threadId }) => !threadId.startsWith('forbidden'),
    onError: () => {},
    graceMs: 60_000,
    rollUpMs: 2,
  });
}

before(async () => {
  server = await AgentServer.start(handlerOf());
  wire = await Wire.lay(server.port);
});
after(async () => {
  await wire.close();
  await server.close();
});
beforeEach(() => wire.up());
afterEach(() => {
  for (const transport of transports.splice(0)) transport.close();
});

/** What a page keeps across a reload. */
class Storage extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => this.set(key, value);
  removeItem = (key) => this.delete(key);
}

function transportOf(options = {}) {
  const url = `http://127.0.0.1:${wire.port}/ws/transport`;
  const transport = new AgentChatTransport({ url, WebSocket, longestRetryMs: 30, storage: new Storage(), ...options });
  transports.push(transport);
  return transport;
}

const question = { id: 'q', role: 'user', parts: [{ type: 'text', text: 'hi' }] };

function send(transport, chatId, more = {}) {
  return transport.sendMessages({
    chatId,
    messages: [question],
    trigger: 'submit-message',
    messageId: undefined,
    ...more,
  });
}

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.delta ?? '').join('');

/** The chunks of an answer as streamText writes them. */
async function* answer(pieces, { pause = () => undefined } = {}) {
  yield* [{ type: 'start', messageId: 'answer' }, { type: 'start-step' }, { type: 'text-start', id: 't' }];
  for (const delta of pieces) {
    yield { type: 'text-delta', id: 't', delta };
    await pause();
  }
  yield* [{ type: 'text-end', id: 't' }, { type: 'finish-step' }, { type: 'finish' }];
}

/** A chat without React around it. */
class Chat extends AbstractChat {
  constructor(id, transport, options = {}) {
    const state = {
      status: 'ready',
      error: undefined,
      messages: [],
      pushMessage: (message) => state.messages.push(message),
      popMessage: () => state.messages.pop(),
      replaceMessage: (index, message) => (state.messages[index] = message),
      snapshot: (value) => structuredClone(value),
    };
    super({ id, transport, state, ...options });
  }

  get text() {
    return (this.lastMessage?.role === 'assistant' ? this.lastMessage.parts : [])
      .map((part) => part.text ?? '')
      .join('');
  }
}

describe('sending', () => {
  test('an answer arrives as the AI SDK wrote it', async () => {
    onRequest = () => answer(['Hel', 'lo']);
    const chunks = await all(await send(transportOf(), freshThread()));
    assert.deepEqual(
      chunks.map(({ type }) => type).filter((type) => type !== 'text-delta'),
      ['start', 'start-step', 'text-start', 'text-end', 'finish-step', 'finish'],
    );
    assert.equal(textOf(chunks), 'Hello');
  });

  test('onRequest gets what the AI SDK posts over HTTP', async () => {
    let data;
    onRequest = (request) => {
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
    onRequest = (request) => {
      data = request.data;
      return answer([]);
    };
    const prepareData = ({ messages }) => ({ last: messages.at(-1) });
    await all(await send(transportOf({ prepareData }), freshThread()));
    assert.deepEqual(data, { last: question });
  });

  test('plain strings of the server become a text', async () => {
    onRequest = async function* () {
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
    onRequest = () => answer(['x']);
    const before = wire.connections;
    const [transport, chatId] = [transportOf(), freshThread()];
    await Promise.all([send(transport, chatId), send(transport, chatId)].map(async (sent) => all(await sent)));
    await all(await send(transport, chatId));
    assert.equal(wire.connections, before + 1);
  });

  test('a socket nobody reads from is closed after a while, and opened again', async () => {
    onRequest = () => answer(['x']);
    await until('earlier sockets to close', () => server.count === 0);
    const [transport, chatId] = [transportOf({ idleMs: 5 }), freshThread()];
    await all(await send(transport, chatId));
    await until('the socket to close', () => server.count === 0);
    assert.equal(textOf(await all(await send(transport, chatId))), 'x');
  });

  test('a failure of the server fails the stream with its code', async () => {
    onRequest = () => {
      throw new Error('secret');
    };
    const stream = await send(transportOf(), freshThread());
    await assert.rejects(all(stream), { name: 'AgentError', code: 'STREAM_FAILED', message: 'The stream failed' });
  });
});

describe('cuts', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`with seed ${seed} the text is whole after many cuts`, { timeout: 60_000 }, async () => {
      const random = randomOf(seed);
      const pieces = piecesOf(random, 2000);
      const pause = () => (random() < 0.1 ? new Promise((resolve) => setTimeout(resolve, 2)) : undefined);
      let asked = 0;
      onRequest = () => ((asked += 1), answer(pieces, { pause }));
      const before = wire.connections;
      wire.cutAfter(10);
      const stream = await send(transportOf(), freshThread());
      const chunks = [];
      const reader = stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        chunks.push(value);
        if (random() < 0.05) wire.cutAfter(Math.floor(random() * 3000));
      }
      assert.ok(Buffer.from(textOf(chunks)).equals(Buffer.from(pieces.join(''))));
      assert.equal(asked, 1, 'the model was asked once, however often the client came back');
      assert.ok(wire.connections > before + 3, `${wire.connections - before} connections`);
    });
  }

  test('a stream that ends while nobody is connected arrives whole', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const stream = await send(transportOf(), freshThread());
    const reader = stream.getReader();
    script.write({ type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'before ' });
    await reader.read();
    await reader.read();
    wire.down();
    script.write({ type: 'text-delta', id: 't', delta: 'while away' }, { type: 'finish' });
    script.end();
    await settle();
    wire.up();
    const rest = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) rest.push(next.value);
    assert.deepEqual(rest, [{ type: 'text-delta', id: 't', delta: 'while away' }, { type: 'finish' }]);
  });

  test('a server that cannot be reached for giveUpMs fails the stream with UNREACHABLE', async () => {
    wire.down();
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
    onRequest = script.onRequest;
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
    onRequest = script.onRequest;
    const abort = new AbortController();
    const stream = await send(transportOf(), freshThread(), { abortSignal: abort.signal });
    const reader = stream.getReader();
    script.write({ type: 'start' });
    await reader.read();
    wire.down();
    abort.abort();
    await assert.rejects(reader.read(), { name: 'AbortError' });
    await settle();
    assert.equal(script.request.signal.aborted, false);
    wire.up();
    await until('the producer to be told', () => script.request.signal.aborted);
  });

  test('a signal that was aborted before sends nothing', async () => {
    let asked = 0;
    onRequest = () => ((asked += 1), answer([]));
    const transport = transportOf();
    const chatId = freshThread();
    await assert.rejects(send(transport, chatId, { abortSignal: AbortSignal.abort() }), { name: 'AbortError' });
    assert.equal(await transport.reconnectToStream({ chatId }), null);
    assert.equal(asked, 0);
  });

  test('cancelling the stream stops reading and lets the answer go on for others', async () => {
    const script = new Script();
    onRequest = script.onRequest;
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
    onRequest = script.onRequest;
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
    onRequest = script.onRequest;
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

describe('a reload', () => {
  test('there is nothing to resume in a thread without streams', async () => {
    assert.equal(await transportOf().reconnectToStream({ chatId: freshThread() }), null);
  });

  test('a stream that runs is read from its start', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const [chatId, storage] = [freshThread(), new Storage()];
    const reader = (await send(transportOf({ storage }), chatId)).getReader();
    script.write({ type: 'start' });
    await reader.read();
    transports.pop().close();
    await assert.rejects(reader.read(), { code: 'CLOSED' });
    storage.set(`captify-agent:${chatId}`, script.request.streamId); // a page that goes has no time to tidy up
    const resumed = await transportOf({ storage }).reconnectToStream({ chatId });
    script.write({ type: 'finish' });
    script.end();
    assert.deepEqual(await all(resumed), [{ type: 'start' }, { type: 'finish' }]);
    assert.equal(storage.size, 0, 'what was read to its end is not remembered');
  });

  test('the stream this window was reading is read also if it ended meanwhile', async () => {
    let streamId;
    onRequest = (request) => ((streamId = request.streamId), answer(['whole']));
    const [chatId, storage] = [freshThread(), new Storage()];
    await all(await send(transportOf(), chatId));
    storage.set(`captify-agent:${chatId}`, streamId);
    assert.equal(textOf(await all(await transportOf({ storage }).reconnectToStream({ chatId }))), 'whole');
  });

  test('a stream that ended, and that this window has read, is not read again', async () => {
    onRequest = () => answer(['whole']);
    const [chatId, storage] = [freshThread(), new Storage()];
    await all(await send(transportOf({ storage }), chatId));
    assert.equal(await transportOf({ storage }).reconnectToStream({ chatId }), null);
  });

  test('a stream the server has no more is nothing to resume', async () => {
    const [chatId, storage] = [freshThread(), new Storage()];
    storage.set(`captify-agent:${chatId}`, 'gone');
    assert.equal(await transportOf({ storage }).reconnectToStream({ chatId }), null);
    assert.equal(storage.size, 0);
  });

  test('a server that restarted in the middle of a stream fails it with UNKNOWN_STREAM', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const reader = (await send(transportOf(), freshThread())).getReader();
    script.write({ type: 'start' });
    await reader.read();
    // What a process has of its streams goes with it.
    globalThis[Symbol.for('@captify-io/hub/agent@1')].delete('/ws/transport');
    await server.close();
    server = await AgentServer.start(handlerOf(), { port: server.port });
    await assert.rejects(reader.read(), { code: 'UNKNOWN_STREAM' });
  });
});

describe('with a chat of the AI SDK', () => {
  test('a message is answered', async () => {
    onRequest = () => answer(['Hel', 'lo']);
    const chat = new Chat(freshThread(), transportOf());
    await chat.sendMessage({ text: 'hi' });
    assert.deepEqual([chat.status, chat.text], ['ready', 'Hello']);
  });

  test('stop ends the answer, keeps what there is of it, and the next message is answered', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const chat = new Chat(freshThread(), transportOf());
    const sent = chat.sendMessage({ text: 'hi' });
    script.write({ type: 'start' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'half' });
    await until('half an answer', () => chat.text === 'half');
    await chat.stop();
    await sent;
    assert.deepEqual([chat.status, chat.text], ['ready', 'half']);
    await until('the producer to be told', () => script.request.signal.aborted);
    onRequest = () => answer(['whole']);
    await chat.sendMessage({ text: 'again' });
    assert.equal(chat.text, 'whole');
  });

  test('a resumed answer is read to its end, and can be stopped', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const chatId = freshThread();
    await send(transportOf(), chatId);
    await until('the stream to start', () => script.request);
    const chat = new Chat(chatId, transportOf());
    const resumed = chat.resumeStream();
    script.write({ type: 'start' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'half' });
    await until('half an answer', () => chat.text === 'half');
    await chat.stop();
    await resumed;
    assert.equal(chat.status, 'ready');
    await until('the producer to be told', () => script.request.signal.aborted);
  });

  test('resuming twice at once ends nothing', async () => {
    const script = new Script();
    onRequest = script.onRequest;
    const chatId = freshThread();
    await send(transportOf(), chatId);
    await until('the stream to start', () => script.request);
    const chat = new Chat(chatId, transportOf());
    const both = [chat.resumeStream(), chat.resumeStream()];
    script.write({ type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'whole' });
    await until('an answer', () => chat.text === 'whole');
    script.write({ type: 'finish' });
    script.end();
    await Promise.all(both);
    assert.deepEqual([chat.status, chat.text, script.request.signal.aborted], ['ready', 'whole', false]);
  });

  test('an error of the server is the error of the chat', async () => {
    onRequest = () => {
      throw new Error('secret');
    };
    const chat = new Chat(freshThread(), transportOf());
    await chat.sendMessage({ text: 'hi' });
    assert.deepEqual([chat.status, chat.error.code], ['error', 'STREAM_FAILED']);
  });
});

test('what a browser loads is under 7 KiB with all its comments, gzipped, and imports nothing', () => {
  const source = fs.readFileSync(new URL('../../js/agent-client.mjs', import.meta.url));
  assert.ok(gzipSync(source).length < 7 * 1024);
  assert.doesNotMatch(source.toString(), /^import\b|\brequire\(|\bimport\(/m);
});

test('its reconnecting socket is the one of the fabric client, letter for letter', () => {
  execFileSync(process.execPath, ['scripts/share-socket.mjs', '--check'], { cwd: new URL('../..', import.meta.url) });
});

describe('a connection that went silent', { timeout: 30_000 }, () => {
  /** A server that takes the first connection and answers nothing more after `said` messages; later ones are well. */
  async function halfOpen(said) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    let connections = 0;
    const streams = new Set();
    server.on('connection', (ws) => {
      const isFirst = connections++ === 0;
      let left = isFirst ? said : Infinity;
      const send = (message) => left-- > 0 && ws.send(typeof message === 'string' ? message : JSON.stringify(message));
      send({ type: 'connected', streams: [...streams].map((streamId) => ({ streamId, state: 'running', seq: 1 })) });
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
      ...{ WebSocket, storage: null, silenceMs: 50, answerTimeoutMs: 50, longestRetryMs: 30, idleMs: 10 },
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
