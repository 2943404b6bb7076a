// What an agent handler does with connections, messages and answers. Time and the network are the test's own.
import assert from 'node:assert/strict';
import test, { afterEach, beforeEach, describe, mock } from 'node:test';
import { createAgentHandler } from '../../js/agent.js';
import { connect, freshThread, Script, settle } from '../support/fake-socket.mjs';

let script;
let errors;
let threadId;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  script = new Script();
  errors = [];
  threadId = freshThread();
});
afterEach(() => mock.timers.reset());

function handlerOf(options = {}) {
  return createAgentHandler({ onRequest: script.onRequest, onError: (...args) => errors.push(args), ...options });
}

/** A handler, a client of it, and a stream named 's' that the script writes. */
async function streaming(options) {
  const handler = handlerOf(options);
  const client = await connect(handler, threadId);
  client.say({ type: 'stream', threadId, streamId: 's', data: { prompt: 'hi' } });
  await settle();
  return { handler, client };
}

const tick = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

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

describe('coming back', () => {
  test('a client gets what came after its seq, and goes on live', async () => {
    const { handler, client } = await streaming({ rollUpMs: 0 });
    script.write('a', 'b', 'c');
    await settle();
    client.leave();
    script.write('d');
    await settle();
    const back = await connect(handler, threadId);
    assert.deepEqual(back.received[0].streams, [{ streamId: 's', state: 'running', seq: 4 }]);
    script.write('e');
    await settle();
    assert.equal(back.received.length, 1, 'nothing of it comes before it is asked for');
    back.say({ type: 'recover', threadId, streamId: 's', seq: 2 });
    script.write('f');
    script.end();
    await settle();
    assert.equal(back.text(), 'cdef');
    assert.deepEqual(back.received.at(-1), { type: 'done', threadId, streamId: 's', seq: 6 });
  });

  test('a stream that ended meanwhile is recovered with its end', async () => {
    const { handler, client } = await streaming({ rollUpMs: 0 });
    script.write('a', 'b');
    await settle();
    client.leave();
    script.end();
    await settle();
    const back = await connect(handler, threadId);
    assert.deepEqual(back.received[0].streams, [{ streamId: 's', state: 'done', seq: 2 }]);
    back.say({ type: 'recover', streamId: 's', seq: 1 });
    assert.deepEqual(
      back.received.slice(1).map(({ type, seq }) => [type, seq]),
      [
        ['chunk', 2],
        ['done', 2],
      ],
    );
  });

  test('a client that has everything gets only the end', async () => {
    const { client } = await streaming({ rollUpMs: 0 });
    script.write('a');
    script.end();
    await settle();
    const before = client.received.length;
    client.say({ type: 'recover', streamId: 's', seq: 1 });
    assert.deepEqual(client.received.slice(before), [{ type: 'done', threadId, streamId: 's', seq: 1 }]);
  });

  test('an ended stream is forgotten after keepMs', async () => {
    const { client } = await streaming({ keepMs: 1000 });
    script.end();
    await settle();
    await tick(999);
    client.say({ type: 'recover', streamId: 's', seq: 0 });
    assert.equal(client.received.at(-1).type, 'done');
    await tick(1);
    client.say({ type: 'recover', streamId: 's', seq: 0 });
    assert.equal(client.received.at(-1).code, 'UNKNOWN_STREAM');
  });

  test('chunks that are no longer kept are not recovered in part', async () => {
    const { handler } = await streaming({ rollUpMs: 0, maxHistoryChunks: 3 });
    script.write('a', 'b', 'c', 'd', 'e');
    await settle();
    const back = await connect(handler, threadId);
    back.say({ type: 'recover', streamId: 's', seq: 1 });
    assert.deepEqual(
      back.received.slice(1).map(({ type, code, streamId, seq }) => ({ type, code, streamId, seq })),
      [{ type: 'error', code: 'UNRECOVERABLE', streamId: 's', seq: 1 }],
    );
    back.say({ type: 'recover', streamId: 's', seq: 2 });
    assert.equal(back.text(), 'cde');
  });

  test('a seq the stream has not reached is refused', async () => {
    const { client } = await streaming();
    client.say({ type: 'recover', streamId: 's', seq: 9 });
    assert.equal(client.received.at(-1).code, 'UNRECOVERABLE');
  });

  test('only so many ended streams of a thread are kept, and only so many bytes of all', async () => {
    const ids = ['one', 'two', 'three', 'four'];
    const run = async (options) => {
      const thread = freshThread();
      const handler = createAgentHandler({ onRequest: () => ReadableStream.from(['x'.repeat(2000)]), ...options });
      const client = await connect(handler, thread);
      for (const streamId of ids) {
        client.say({ type: 'stream', streamId, data: 1 });
        await settle();
      }
      const [{ streams }] = (await connect(handler, thread)).received;
      return streams.map(({ streamId }) => streamId);
    };
    assert.deepEqual(await run({ path: '/ws/kept-streams', maxKeptStreamsPerThread: 2 }), ['three', 'four']);
    assert.deepEqual(await run({ path: '/ws/kept-bytes', maxKeptBytes: 5000 }), ['three', 'four']);
    assert.deepEqual(await run({ path: '/ws/kept-none', maxKeptStreamsPerThread: 0 }), []);
  });
});

describe('aborting', () => {
  test('abort ends the stream for everybody, and the signal tells the producer', async () => {
    const { handler, client } = await streaming();
    const other = await connect(handler, threadId);
    const third = await connect(handler, threadId);
    other.say({ type: 'recover', streamId: 's', seq: 0 });
    script.write('a', 'b');
    await settle();
    third.say({ type: 'abort', streamId: 's' });
    assert.ok(script.request.signal.aborted);
    script.write('c');
    await settle();
    assert.equal(third.received.at(-1).aborted, true);
    for (const each of [client, other]) {
      assert.equal(each.text(), 'ab');
      assert.deepEqual(each.received.at(-1), { type: 'done', threadId, streamId: 's', seq: 2, aborted: true });
    }
  });

  test('what the producer writes after an abort is read, so that it can finish, but not sent', async () => {
    const { client } = await streaming();
    client.say({ type: 'abort', streamId: 's' });
    const before = client.received.length;
    script.write('late', { type: 'abort' });
    script.end();
    await settle();
    assert.equal(script.read, 3);
    assert.equal(client.received.length, before);
    assert.deepEqual(errors, []);
  });

  test('a producer that does not stop is let go of after stopMs', async () => {
    const { client } = await streaming({ stopMs: 700 });
    client.say({ type: 'abort', streamId: 's' });
    await tick(699);
    assert.equal(script.returned, false);
    await tick(1);
    assert.equal(script.returned, true);
  });

  test('an answer that comes only after the abort is let go of', async () => {
    let answer;
    const { client } = await streaming({ onRequest: () => new Promise((resolve) => (answer = resolve)), stopMs: 10 });
    client.say({ type: 'abort', streamId: 's' });
    assert.equal(client.received.at(-1).aborted, true);
    await tick(10);
    answer(script);
    await settle();
    assert.equal(script.returned, true);
    assert.equal(script.read, 0);
  });

  test('a producer that throws an AbortError when it is aborted is no error', async () => {
    const { client } = await streaming();
    client.say({ type: 'abort', streamId: 's' });
    script.fail(script.request.signal.reason);
    await settle();
    assert.deepEqual(errors, []);
    assert.equal(client.of('error').length, 0);
  });

  test('who aborts a stream that is over is told its end, and nothing else happens', async () => {
    const { handler, client } = await streaming();
    script.end();
    await settle();
    const other = await connect(handler, threadId);
    other.say({ type: 'abort', streamId: 's' });
    assert.deepEqual(other.received.slice(1), [{ type: 'done', threadId, streamId: 's', seq: 0 }]);
    assert.equal(client.of('done').length, 1);
    assert.equal(script.request.signal.aborted, false);
  });
});

describe('when the last watcher leaves', () => {
  test('the stream is aborted after graceMs', async () => {
    const { handler, client } = await streaming({ graceMs: 5000 });
    client.leave();
    await tick(4999);
    assert.equal(script.request.signal.aborted, false);
    await tick(1);
    assert.equal(script.request.signal.aborted, true);
    const back = await connect(handler, threadId);
    back.say({ type: 'recover', streamId: 's', seq: 0 });
    assert.equal(back.received.at(-1).aborted, true);
  });

  test('one who is back in time keeps it going', async () => {
    const { handler, client } = await streaming({ graceMs: 5000 });
    client.leave();
    await tick(4000);
    const back = await connect(handler, threadId);
    await tick(60_000);
    assert.equal(script.request.signal.aborted, false);
    back.leave();
    await tick(4000);
    assert.equal(script.request.signal.aborted, false, 'the grace starts anew');
    await tick(1000);
    assert.equal(script.request.signal.aborted, true);
  });

  test('as long as somebody watches it goes on', async () => {
    const { handler, client } = await streaming({ graceMs: 0 });
    await connect(handler, threadId);
    client.leave();
    await tick(60_000);
    assert.equal(script.request.signal.aborted, false);
  });

  test('graceMs 0 aborts it at once, and false lets it run to its end', async () => {
    const at = await streaming({ graceMs: 0 });
    at.client.leave();
    await tick(1);
    assert.equal(script.request.signal.aborted, true);

    script = new Script();
    threadId = freshThread();
    const { handler, client } = await streaming({ graceMs: false });
    client.leave();
    await tick(3_000_000);
    script.write('written for nobody');
    script.end();
    await settle();
    const back = await connect(handler, threadId);
    back.say({ type: 'recover', streamId: 's', seq: 0 });
    assert.equal(back.text(), 'written for nobody');
  });

  test('nothing of a thread stays once nobody can come back to it', async () => {
    const { client } = await streaming({ path: '/ws/forgets', graceMs: 1000, keepMs: 2000, stopMs: 500 });
    const { threads } = globalThis[Symbol.for('@captify-io/hub/agent@1')].get('/ws/forgets');
    client.leave();
    assert.equal(threads.size, 1);
    await tick(1000);
    assert.equal(threads.size, 1, 'the aborted stream can still be asked for');
    await tick(2000);
    assert.equal(threads.size, 0);
  });
});

describe('failures', () => {
  for (const [what, onRequest] of [
    [
      'throws',
      () => {
        throw new Error('secret key sk-1');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('secret key sk-1');
      },
    ],
    [
      'fails half-way',
      async function* () {
        yield 'a';
        throw new Error('secret key sk-1');
      },
    ],
  ]) {
    test(`an onRequest that ${what} ends the stream with STREAM_FAILED, and its words stay in the log`, async () => {
      const { client } = await streaming({ onRequest });
      const last = client.received.at(-1);
      assert.deepEqual(last, {
        type: 'error',
        threadId,
        streamId: 's',
        seq: what === 'fails half-way' ? 1 : 0,
        code: 'STREAM_FAILED',
        message: 'The stream failed',
      });
      assert.equal(errors.length, 1);
      assert.match(errors[0][0].message, /sk-1/);
      assert.deepEqual(errors[0][1], { threadId, streamId: 's', userId: undefined });
      client.say({ type: 'recover', streamId: 's', seq: last.seq });
      assert.deepEqual(client.received.at(-1), last, 'one who comes back is told the same');
    });
  }

  for (const [what, answer] of [
    ['nothing', undefined],
    ['a string', 'text'],
    ['an array', ['a']],
  ]) {
    test(`an onRequest that returns ${what} fails the stream`, async () => {
      const { client } = await streaming({ onRequest: () => answer });
      assert.equal(client.received.at(-1).code, 'STREAM_FAILED');
      assert.match(errors[0][0].message, /must return an AsyncIterable or a ReadableStream/);
    });
  }

  for (const [what, chunk] of [
    ['undefined', undefined],
    ['a bigint', 1n],
    ['a function', () => {}],
  ]) {
    test(`a chunk that is ${what} fails the stream and stops the producer`, async () => {
      const { client } = await streaming({ stopMs: 5 });
      script.write('a', chunk, 'b');
      await settle();
      assert.equal(client.received.at(-1).code, 'STREAM_FAILED');
      assert.equal(script.request.signal.aborted, true);
      await tick(5);
      assert.equal(script.returned, true);
    });
  }

  test('a chunk over maxChunkBytes ends the stream', async () => {
    const { client } = await streaming({ maxChunkBytes: 2000 });
    script.write('a', { long: 'x'.repeat(2000) });
    await settle();
    const { code, seq } = client.received.at(-1);
    assert.deepEqual([code, seq], ['CHUNK_TOO_LARGE', 1]);
    assert.equal(script.request.signal.aborted, true);
  });

  for (const [what, piece] of [
    ['text', 'x'.repeat(700)],
    ['text that JSON writes longer', '\u0001'.repeat(150)],
    ['deltas', { type: 'text-delta', id: '1', delta: 'x'.repeat(700) }],
  ]) {
    test(`pieces of ${what} that may be sent do not become one that may not`, async () => {
      const { client } = await streaming({ maxChunkBytes: 1024 });
      for (let count = 0; count < 10; count += 1) script.write(piece);
      script.end();
      await settle();
      assert.equal(client.received.at(-1).type, 'done');
      assert.equal(client.text(), (piece.delta ?? piece).repeat(10));
    });
  }

  test('a stream over maxStreamMs ends with STREAM_TIMEOUT', async () => {
    const { client } = await streaming({ maxStreamMs: 60_000 });
    script.write('a', 'b');
    await tick(59_999);
    assert.equal(client.of('error').length, 0);
    await tick(1);
    assert.equal(client.received.at(-1).code, 'STREAM_TIMEOUT');
    assert.equal(client.text(), 'ab');
    assert.equal(script.request.signal.aborted, true);
  });

  test('an onError that throws harms nobody', async () => {
    const logged = mock.method(console, 'error', () => {});
    const { client } = await streaming({
      onRequest: () => {
        throw new Error('a');
      },
      onError: () => {
        throw new Error('b');
      },
    });
    assert.equal(client.received.at(-1).code, 'STREAM_FAILED');
    assert.equal(logged.mock.callCount(), 1);
    logged.mock.restore();
  });

  for (const [what, fault] of [
    ['an error', new Error('b')],
    ['what has no text', Object.create(null)],
  ]) {
    test(`an onError that rejects with ${what} harms nobody`, async () => {
      const logged = mock.method(console, 'error', () => {});
      const onError = async () => {
        throw fault;
      };
      const { client, handler } = await streaming({ onRequest: () => Promise.reject(new Error('a')), onError });
      assert.equal(client.received.at(-1).code, 'STREAM_FAILED');
      assert.equal(logged.mock.callCount(), 1);
      // The hub hears of those it calls itself.
      await assert.rejects(handler.onError(client, new Error('c')), (error) => error === fault);
      logged.mock.restore();
    });
  }

  test('without onError faults go to the log of the process', async () => {
    const logged = mock.method(console, 'error', () => {});
    await streaming({
      onRequest: () => {
        throw new Error('boom');
      },
      onError: undefined,
    });
    assert.match(String(logged.mock.calls[0].arguments[0]), /\[hub\] error: agent: stream "s" of thread .*boom/);
    logged.mock.restore();
  });
});

describe('messages that are refused', () => {
  for (const [what, message, code] of [
    ['no JSON', '{', 'BAD_JSON'],
    ['no object', '[]', 'BAD_JSON'],
    ['null', 'null', 'BAD_JSON'],
    ['an unknown type', '{"type":"dance"}', 'UNKNOWN_TYPE'],
    ['a type every object has', '{"type":"constructor"}', 'UNKNOWN_TYPE'],
    ['another thread', '{"type":"stream","threadId":"other","data":1}', 'WRONG_THREAD'],
    ['a stream id that is no string', '{"type":"stream","streamId":7}', 'BAD_SHAPE'],
    ['an abort without a stream', '{"type":"abort"}', 'BAD_SHAPE'],
    ['a recover with a negative seq', '{"type":"recover","streamId":"s","seq":-1}', 'BAD_SHAPE'],
    ['a recover without a seq', '{"type":"recover","streamId":"s"}', 'BAD_SHAPE'],
    ['a recover of an unknown stream', '{"type":"recover","streamId":"?","seq":0}', 'UNKNOWN_STREAM'],
    ['an abort of an unknown stream', '{"type":"abort","streamId":"?"}', 'UNKNOWN_STREAM'],
  ]) {
    test(`${what} is answered with ${code}, and the connection stays`, async () => {
      const handler = handlerOf();
      const client = await connect(handler, threadId);
      client.say(message);
      const { type, threadId: named, code: answered, message: text } = client.received.at(-1);
      assert.deepEqual([type, named, answered, typeof text], ['error', threadId, code, 'string']);
      client.say({ type: 'stream', data: 1 });
      await settle();
      assert.equal(client.of('started').length, 1);
    });
  }

  test('a message in a binary frame is read like one of text', async () => {
    const handler = handlerOf();
    const client = await connect(handler, threadId);
    handler.onMessage(client, Buffer.from('{"type":"stream","data":1}'));
    await settle();
    assert.equal(client.of('started').length, 1);
  });

  test('too many streams are refused, of a thread and of all, until a producer has stopped', async () => {
    const scripts = [];
    const onRequest = (request) => {
      scripts.push(new Script());
      return scripts.at(-1).onRequest(request);
    };
    const handler = handlerOf({ path: '/ws/many', onRequest, maxStreamsPerThread: 2, maxStreams: 3, stopMs: 1000 });
    const [one, two] = [await connect(handler, threadId), await connect(handler, freshThread())];
    const ask = async (client, streamId) => {
      client.say({ type: 'stream', streamId, data: 1 });
      await settle();
      const refused = client.received.at(-1).code === 'TOO_MANY_STREAMS';
      if (refused) assert.equal(client.received.at(-1).streamId, streamId);
      return !refused;
    };
    assert.deepEqual([await ask(one, 'a'), await ask(one, 'b'), await ask(one, 'c')], [true, true, false]);
    assert.deepEqual([await ask(two, 'd'), await ask(two, 'e')], [true, false]);
    one.say({ type: 'abort', streamId: 'a' });
    assert.equal(await ask(one, 'f'), false, 'its producer still runs');
    scripts[0].end();
    await settle();
    assert.equal(await ask(one, 'g'), true);
    one.say({ type: 'abort', streamId: 'b' });
    await tick(1000);
    assert.equal(await ask(one, 'h'), true, 'a producer that does not stop is given up');
  });
});

describe('backpressure', () => {
  const options = { rollUpMs: 0, maxBufferedBytes: 4096, slowWatcherMs: 3000, maxHistoryBytes: 20_000 };
  const piece = 'x'.repeat(1000);

  /** A producer without end that counts how often it was asked. */
  function endless() {
    const counted = { asked: 0, aborted: false };
    counted.onRequest = async function* ({ signal }) {
      while (!signal.aborted) {
        counted.asked += 1;
        yield piece;
      }
    };
    return counted;
  }

  test('a producer waits for the slowest watcher', async () => {
    const producer = endless();
    const handler = handlerOf({ ...options, onRequest: producer.onRequest });
    const [fast, slow] = [await connect(handler, threadId), await connect(handler, threadId)];
    slow.stopReading();
    fast.say({ type: 'stream', streamId: 's', data: 1 });
    await settle();
    const asked = producer.asked;
    assert.ok(asked > 3 && asked < 10, `asked ${asked} times`);
    await settle();
    assert.equal(producer.asked, asked, 'it stands still');
    slow.read({ once: true });
    await settle();
    assert.ok(producer.asked > asked, 'it goes on');
    assert.ok(slow.bufferedAmount < 4096 + 2000);
    fast.say({ type: 'abort', streamId: 's' });
  });

  test('one who stays slow is left behind after slowWatcherMs, and told so when it can no longer catch up', async () => {
    const producer = endless();
    const handler = handlerOf({ ...options, onRequest: producer.onRequest });
    const [fast, slow] = [await connect(handler, threadId), await connect(handler, threadId)];
    slow.stopReading();
    fast.say({ type: 'stream', streamId: 's', data: 1 });
    await settle();
    const asked = producer.asked;
    await tick(2999);
    assert.equal(producer.asked, asked);
    await tick(1);
    assert.ok(producer.asked > asked + 20, 'the others go on without it');
    fast.say({ type: 'abort', streamId: 's' });
    await settle();
    assert.ok(slow.bufferedAmount < 4096 + 2000, 'nothing piles up for it');
    slow.read();
    await settle();
    const { type, code, streamId } = slow.received.at(-1);
    assert.deepEqual([type, code, streamId], ['error', 'UNRECOVERABLE', 's']);
    assert.equal(fast.text().length, fast.of('chunk').length * 1000);
  });

  test('one who was left behind gets the rest from the history if that still has it', async () => {
    const { client } = await streaming({ ...options, maxHistoryBytes: 1_000_000 });
    client.stopReading();
    for (let count = 0; count < 50; count += 1) script.write(piece);
    script.end();
    await settle();
    await tick(3000);
    assert.ok(client.of('chunk').length < 10);
    client.read();
    await settle();
    assert.equal(client.text(), piece.repeat(50));
    assert.equal(client.received.at(-1).type, 'done');
  });

  test('what a watcher who is waited for has not got is kept, whatever the bounds', async () => {
    const { client } = await streaming({ ...options, maxHistoryBytes: 0, maxHistoryChunks: 0 });
    client.stopReading();
    for (let count = 0; count < 30; count += 1) script.write(piece);
    script.end();
    for (let round = 0; round < 30; round += 1) {
      await settle();
      client.read({ once: true });
    }
    await settle();
    assert.equal(client.text(), piece.repeat(30));
    assert.equal(client.received.at(-1).type, 'done');
  });

  test('one who was left behind is not waited for again because it asks once more', async () => {
    const producer = endless();
    const handler = handlerOf({ ...options, onRequest: producer.onRequest });
    const [fast, slow] = [await connect(handler, threadId), await connect(handler, threadId)];
    slow.stopReading();
    fast.say({ type: 'stream', streamId: 's', data: 1 });
    await settle();
    await tick(3000);
    for (let round = 0; round < 3; round += 1) {
      slow.say({ type: 'recover', streamId: 's', seq: fast.received.at(-1).seq });
      const { asked } = producer;
      await settle();
      assert.ok(producer.asked > asked + 20, `${producer.asked - asked} chunks in round ${round}`);
    }
    fast.say({ type: 'abort', streamId: 's' });
  });

  test('what is kept of ended streams is counted right, also where a history shrinks after the end', async () => {
    const bounds = { path: '/ws/shrinking', maxHistoryBytes: 3000, maxKeptBytes: 10_000 };
    const handler = handlerOf({ ...options, ...bounds, keepMs: 60_000, stopMs: 1 });
    const [fast, slow] = [await connect(handler, threadId), await connect(handler, threadId)];
    for (let round = 0; round < 20; round += 1) {
      slow.read();
      fast.say({ type: 'stream', streamId: `s${round}`, data: 1 });
      await settle();
      for (let count = 0; count < 3; count += 1) script.write(piece);
      await settle();
      slow.stopReading();
      slow.send(JSON.stringify('x'.repeat(5000)));
      slow.say({ type: 'recover', streamId: `s${round}`, seq: fast.received.at(-1).seq - 2 });
      // More than the history has room for, and kept for the one that is waited for when the stream ends.
      script.write(piece);
      await settle();
      fast.say({ type: 'abort', streamId: `s${round}` });
      await tick(3000);
    }
    await tick(60_000);
    slow.leave();
    const last = ['one', 'two', 'three', 'four', 'five'];
    for (const streamId of last) {
      fast.say({ type: 'stream', streamId, data: 1 });
      await settle();
      script.write(piece);
      script.end();
      await settle();
    }
    const [{ streams }] = (await connect(handler, threadId)).received;
    assert.deepEqual(
      streams.map(({ streamId }) => streamId),
      last,
    );
  });

  test('one who leaves is not waited for', async () => {
    const producer = endless();
    const handler = handlerOf({ ...options, onRequest: producer.onRequest });
    const [fast, slow] = [await connect(handler, threadId), await connect(handler, threadId)];
    slow.stopReading();
    fast.say({ type: 'stream', streamId: 's', data: 1 });
    await settle();
    const asked = producer.asked;
    slow.leave();
    await settle();
    assert.ok(producer.asked > asked);
    fast.say({ type: 'abort', streamId: 's' });
  });

  test('a replay waits for its reader, too', async () => {
    const { handler } = await streaming({ ...options, maxHistoryBytes: 1_000_000 });
    for (let count = 0; count < 100; count += 1) script.write(piece);
    await settle();
    const back = await connect(handler, threadId);
    back.stopReading();
    back.say({ type: 'recover', streamId: 's', seq: 0 });
    await settle();
    assert.ok(back.of('chunk').length < 10);
    back.read();
    await settle();
    assert.equal(back.text(), piece.repeat(100));
  });

  test('a producer that never waits lets the rest of the process run', async () => {
    const producer = endless();
    const { client } = await streaming({ onRequest: producer.onRequest });
    // Were it not so, settle() would never have come back.
    assert.ok(producer.asked > 0);
    client.say({ type: 'abort', streamId: 's' });
    await settle();
    const asked = producer.asked;
    await settle();
    assert.equal(producer.asked, asked);
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
