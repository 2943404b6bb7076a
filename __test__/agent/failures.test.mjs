// What an agent handler refuses, and what its app's faults do. Time and the network are the test's own.
import assert from 'node:assert/strict';
import test, { describe, mock } from 'node:test';
import { errors, handlerOf, script, streaming, threadId, tick, useStage } from '../support/agent-stage.mjs';
import { connect, freshThread, Script, settle } from '../support/fake-socket.mjs';

useStage();

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
