// What an agent handler does with connections and answers. Time and the network are the test's own.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { createAgentHandler } from '../../js/agent.js';
import { handlerOf, script, streaming, threadId, useStage } from '../support/agent-stage.mjs';
import { connect, freshThread, Script, settle } from '../support/fake-socket.mjs';

useStage();

describe('connecting', () => {
  test('a client is told its thread and what runs in it', async () => {
    const client = await connect(handlerOf(), threadId);
    assert.deepEqual(client.received, [{ type: 'connected', threadId, streams: [] }]);
    assert.equal(client.threadId, threadId);
  });

  for (const [what, query, reason] of [
    ['without a thread', '', 'Missing threadId'],
    ['with an empty thread', '?threadId=', 'Missing threadId'],
    ['with a control character in its thread', '?threadId=a%00b', 'Invalid threadId'],
    ['with a thread of 513 characters', `?threadId=${'x'.repeat(513)}`, 'Invalid threadId'],
  ]) {
    test(`a client ${what} is closed with 1003`, async () => {
      const client = await connect(handlerOf(), threadId, { url: `/ws/agent${query}` });
      assert.deepEqual(client.closed, { code: 1003, reason });
      client.say({ type: 'stream', data: 1 });
      assert.deepEqual(client.received, []);
      client.leave();
    });
  }

  test('authorize is asked with thread, user and request, and anything but true closes with 4403', async () => {
    const asked = [];
    const handler = handlerOf({
      authorize: async (question) => {
        asked.push(question);
        return question.userId === 'ada' ? true : undefined;
      },
    });
    const ada = await connect(handler, threadId, { userId: 'ada' });
    const noor = await connect(handler, threadId, { userId: 'noor' });
    assert.equal(ada.of('connected').length, 1);
    assert.deepEqual(noor.closed, { code: 4403, reason: 'Forbidden' });
    assert.deepEqual(noor.received, []);
    assert.deepEqual([asked[0].threadId, asked[0].userId], [threadId, 'ada']);
    assert.match(asked[0].request.url, /threadId=/);
  });

  test('a client that leaves while authorize is asked is no watcher', async () => {
    let allow;
    const handler = handlerOf({ authorize: () => new Promise((resolve) => (allow = resolve)) });
    const { FakeSocket } = await import('../support/fake-socket.mjs');
    const socket = new FakeSocket();
    const connecting = handler.onConnect(socket, { url: `/ws/agent?threadId=${threadId}` });
    socket.readyState = 3;
    handler.onClose(socket, 1006, Buffer.alloc(0));
    allow(true);
    await connecting;
    assert.deepEqual(socket.received, []);
  });
});

describe('streaming', () => {
  test('onRequest gets thread, data, user, stream and a signal', async () => {
    const handler = handlerOf();
    const client = await connect(handler, threadId, { userId: 'ada' });
    client.say({ type: 'stream', threadId, data: { prompt: 'hi' } });
    await settle();
    const { signal, ...rest } = script.request;
    const [{ streamId }] = client.of('started');
    assert.deepEqual(rest, { threadId, data: { prompt: 'hi' }, userId: 'ada', streamId });
    assert.ok(signal instanceof AbortSignal && !signal.aborted);
  });

  test('chunks are numbered from 1, and done has the number of the last one', async () => {
    const { client } = await streaming();
    script.write({ type: 'start' }, 'a', { type: 'finish' });
    script.end();
    await settle();
    assert.deepEqual(client.received.slice(1), [
      { type: 'started', threadId, streamId: 's' },
      { type: 'chunk', threadId, streamId: 's', seq: 1, chunk: { type: 'start' } },
      { type: 'chunk', threadId, streamId: 's', seq: 2, chunk: 'a' },
      { type: 'chunk', threadId, streamId: 's', seq: 3, chunk: { type: 'finish' } },
      { type: 'done', threadId, streamId: 's', seq: 3 },
    ]);
    assert.equal(script.request.signal.aborted, false, 'a stream that is done is not aborted');
  });

  test('text that waits for its window leaves before done', async () => {
    const { client } = await streaming();
    script.write('a', 'b', 'c');
    script.end();
    await settle();
    assert.deepEqual(
      client.of('chunk').map(({ chunk }) => chunk),
      ['a', 'bc'],
    );
    assert.equal(client.received.at(-1).seq, 2);
  });

  test('an answer may be empty', async () => {
    const { client } = await streaming();
    script.end();
    await settle();
    assert.deepEqual(client.received.at(-1), { type: 'done', threadId, streamId: 's', seq: 0 });
  });

  for (const [what, answer] of [
    [
      'an async generator',
      () =>
        (async function* () {
          yield* ['a', 'b'];
        })(),
    ],
    ['a promise of a ReadableStream', async () => ReadableStream.from(['a', 'b'])],
    ['a ReadableStream that is no iterable', () => ({ getReader: () => ReadableStream.from(['a', 'b']).getReader() })],
  ]) {
    test(`onRequest may return ${what}`, async () => {
      const handler = handlerOf({ onRequest: answer });
      const client = await connect(handler, threadId);
      client.say({ type: 'stream', data: null });
      await settle();
      assert.equal(client.text(), 'ab');
      assert.equal(client.received.at(-1).type, 'done');
    });
  }

  test('everybody connected to the thread sees the stream, and nobody of another thread', async () => {
    const handler = handlerOf();
    const [ada, noor] = [await connect(handler, threadId), await connect(handler, threadId)];
    const other = await connect(handler, freshThread());
    ada.say({ type: 'stream', data: 1 });
    await settle();
    script.write('x');
    script.end();
    await settle();
    assert.deepEqual(ada.received, noor.received);
    assert.equal(noor.text(), 'x');
    assert.equal(other.received.length, 1);
  });

  test('a client that asks twice for one stream, cut off in between, gets one answer', async () => {
    let asked = 0;
    const handler = handlerOf({ onRequest: (request) => ((asked += 1), script.onRequest(request)) });
    const first = await connect(handler, threadId);
    first.say({ type: 'stream', streamId: 's', data: 1 });
    await settle();
    script.write('a', { type: 'x' });
    await settle();
    first.leave();
    const second = await connect(handler, threadId);
    second.say({ type: 'stream', streamId: 's', data: 1 });
    second.say({ type: 'stream', streamId: 's', data: 1 });
    script.end();
    await settle();
    assert.equal(asked, 1);
    assert.deepEqual(
      second.received.slice(1).map(({ type, seq }) => [type, seq]),
      [
        ['chunk', 1],
        ['chunk', 2],
        ['done', 2],
      ],
    );
  });
});

describe('an edited handler file', () => {
  test('new streams run with the new onRequest, those that run go on, and clients stay in their thread', async () => {
    const { client } = await streaming();
    const edited = new Script();
    const handler = handlerOf({ onRequest: edited.onRequest });
    handler.onMessage(client, JSON.stringify({ type: 'stream', streamId: 'new', data: 2 }));
    await settle();
    script.write('old');
    edited.write('new');
    await settle();
    assert.deepEqual(
      client.of('chunk').map(({ streamId, chunk }) => [streamId, chunk]),
      [
        ['s', 'old'],
        ['new', 'new'],
      ],
    );
    handler.onMessage(client, JSON.stringify({ type: 'abort', streamId: 's' }));
    assert.equal(script.request.signal.aborted, true);
    handler.onClose(client, 1001, Buffer.alloc(0));
  });
});

describe('options', () => {
  for (const [what, options, pattern] of [
    ['none', undefined, /options must be an object/],
    ['no onRequest', {}, /onRequest must be a function/],
    ['an unknown one', { onRequest() {}, rollup: 1 }, /option rollup is not known; there are path, onRequest/],
    ['a path elsewhere', { onRequest() {}, path: '/agent' }, /option path must be a path below \/ws\//],
    ['a path that is the prefix', { onRequest() {}, path: '/ws/' }, /option path/],
    ['a grace of true', { onRequest() {}, graceMs: true }, /option graceMs/],
    ['a keepMs no timer takes', { onRequest() {}, keepMs: 2 ** 31 }, /option keepMs must be a whole number/],
    ['a negative bound', { onRequest() {}, maxHistoryBytes: -1 }, /option maxHistoryBytes/],
    ['authorize that is no function', { onRequest() {}, authorize: true }, /option authorize must be a function/],
  ]) {
    test(`${what} is refused with a reason`, () => {
      assert.throws(
        () => createAgentHandler(options),
        (error) => {
          assert.equal(error.code, 'HUB_INVALID_ARGUMENT');
          assert.match(error.message, pattern);
          return true;
        },
      );
    });
  }
});
