// An agent's answer goes as fast as its watchers read. Time and the network are the test's own.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { handlerOf, script, streaming, threadId, tick, useStage } from '../support/agent-stage.mjs';
import { connect, settle } from '../support/fake-socket.mjs';

useStage();

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
