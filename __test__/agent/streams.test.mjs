// What becomes of a stream whose clients leave, come back or abort it. Time and the network are the test's own.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { createAgentHandler } from '../../js/agent.js';
import { errors, renew, script, streaming, threadId, tick, useStage } from '../support/agent-stage.mjs';
import { connect, freshThread, settle } from '../support/fake-socket.mjs';

useStage();

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

    renew();
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
