// Streams of agents whose process is gone, has forgotten them, does not answer, or was cut off when they began.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { startAgents, Watcher } from './support/agent-processes.mjs';
import { freshThread } from './support/fake-socket.mjs';
import { until } from './support/processes.mjs';
import { RedisClient } from './support/redis-client.mjs';
import { startRedis } from './support/redis.mjs';
import { SilentProxy } from './support/silent-proxy.mjs';

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => `${from + index} `);

/** Two processes, of which the second may have other options and another way to Redis. */
async function pair(t, { one = {}, two = one, way = (redis) => redis } = {}) {
  const redis = await startRedis(t);
  const other = await way(redis);
  const processes = await Promise.all([startAgents(t, redis.url, one), startAgents(t, other.url, two)]);
  return { one: processes[0], two: processes[1], other, redis, threadId: freshThread() };
}

async function byProxy(t, { port }) {
  const proxy = await SilentProxy.start(port);
  t.after(() => proxy.close());
  return Object.assign(proxy, { url: `redis://127.0.0.1:${proxy.port}` });
}

/** Has a process answer a stream, to its end. */
async function answer(process, watcher, streamId, chunks) {
  watcher.say({ type: 'stream', streamId });
  await process.ask({ id: streamId, chunks, isOver: true });
  await watcher.told('done', streamId);
}

/** How long something takes. */
async function timed(deed) {
  const begun = performance.now();
  await deed();
  return performance.now() - begun;
}

test('who asks for an ended stream whose process is dead is told so where nobody has followed it, and gets it elsewhere', async (t) => {
  const { one, two, threadId } = await pair(t);
  const a = await Watcher.open(t, one, threadId);
  await answer(one, a, 's', numbers(1, 5));
  a.say({ type: 'stream', streamId: 'aborted' });
  await a.told('started', 'aborted');
  const b = await Watcher.open(t, two, threadId);
  assert.deepEqual(b.streams, [
    { streamId: 's', state: 'done', seq: 5 },
    { streamId: 'aborted', state: 'running', seq: 0 },
  ]);
  // Only its end comes here.
  b.say({ type: 'abort', streamId: 'aborted' });
  await b.told('done', 'aborted');
  await answer(one, a, 'followed', numbers(1, 5));
  await b.told('done', 'followed');
  await one.service.stop('SIGKILL');
  const ms = await timed(async () => {
    for (const streamId of ['s', 'aborted']) b.say({ type: 'recover', streamId, seq: 0 });
    for (const streamId of ['s', 'aborted']) assert.equal((await b.told('error', streamId)).code, 'UNKNOWN_STREAM');
  });
  assert.ok(ms < 12_000, `${ms} ms`);
  // Nobody has it, so it is answered anew.
  b.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  const c = await Watcher.open(t, two, threadId);
  c.say({ type: 'recover', streamId: 'followed', seq: 2 });
  await c.told('done', 'followed');
  assert.deepEqual(c.of('followed'), numbers(3, 5));
  c.say({ type: 'recover', streamId: 'followed', seq: 6 });
  const late = await timed(() => c.told('error', 'followed'));
  assert.ok(late < 12_000, `${late} ms`);
});

test('who asks for an ended stream that its process has forgotten is told so at once', async (t) => {
  const { one, two, threadId } = await pair(t, { one: { keepMs: 300 }, two: { keepMs: 60_000 } });
  const a = await Watcher.open(t, one, threadId);
  await answer(one, a, 's', numbers(1, 5));
  a.say({ type: 'stream', streamId: 'aborted' });
  await a.told('started', 'aborted');
  const b = await Watcher.open(t, two, threadId);
  b.say({ type: 'abort', streamId: 'aborted' });
  await b.told('done', 'aborted');
  await until('its process to forget them', async () => {
    const { streams, ws } = await Watcher.open(t, one, threadId);
    ws.terminate();
    return streams.length === 0;
  });
  for (const streamId of ['s', 'aborted']) {
    b.say({ type: 'recover', streamId, seq: 0 });
    const ms = await timed(async () => assert.equal((await b.told('error', streamId)).code, 'UNKNOWN_STREAM'));
    assert.ok(ms < 2000, `${streamId}: ${ms} ms`);
  }
});

test('who asks for a stream whose process is there and does not answer is sent away to come back', async (t) => {
  const { one, two, threadId } = await pair(t);
  const a = await Watcher.open(t, one, threadId);
  await answer(one, a, 's', numbers(1, 5));
  const b = await Watcher.open(t, two, threadId);
  one.ask({ busyForMs: 15_000 }).catch(() => {});
  b.say({ type: 'recover', streamId: 's', seq: 0 });
  const ms = await timed(async () => assert.equal((await once(b.ws, 'close'))[0], 1013));
  assert.ok(ms < 12_000, `${ms} ms`);
});

test('a process that was cut off when streams began learns of them once it is back, and its clients get all of them', async (t) => {
  const { one, two, other, threadId } = await pair(t, { way: (redis) => byProxy(t, redis) });
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  await answer(one, a, 'before', numbers(1, 3));
  await b.told('done', 'before');
  other.silence({ up: true, down: true });
  other.cut();
  await until('Redis to be away', async () => !(await two.ask({ id: 's' })).isReady);
  await answer(one, a, 'over', numbers(1, 50));
  a.say({ type: 'stream', streamId: 'runs' });
  await a.told('started', 'runs');
  await one.ask({ id: 'runs', chunks: numbers(1, 20) });
  await a.has('runs', 20);
  other.silence();
  await b.told('started', 'runs');
  await b.told('done', 'over');
  await b.has('runs', 20);
  await one.ask({ id: 'runs', chunks: numbers(21, 40), isOver: true });
  await b.told('done', 'runs');
  assert.deepEqual([b.of('over'), b.of('runs')], [numbers(1, 50), numbers(1, 40)]);
  // What it had before it was not given again.
  assert.deepEqual(b.of('before'), numbers(1, 3));
  assert.equal(b.messages.filter(({ type, streamId }) => type === 'started' && streamId === 'before').length, 1);
});

test('who came elsewhere while the process of a stream was cut off is told of it once that is back', async (t) => {
  const { one, two, other, redis, threadId } = await pair(t, { way: (redis) => byProxy(t, redis) });
  const b = await Watcher.open(t, two, threadId);
  b.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  other.silence({ up: true, down: true });
  other.cut();
  await until('Redis to be away', async () => !(await two.ask({ id: 's' })).isReady);
  const client = await RedisClient.connect(redis.port);
  t.after(() => client.end());
  const heard = () => client.call('PUBSUB', 'CHANNELS', `*thread:${threadId}*`);
  await until('Redis to notice', async () => (await heard()).length === 0);
  const a = await Watcher.open(t, one, threadId);
  assert.deepEqual(a.streams, []);
  other.silence();
  const isTold = ({ type, streams }) => type === 'connected' && streams[0]?.streamId === 's';
  await until('it to be told', () => a.messages.some(isTold));
  a.say({ type: 'recover', streamId: 's', seq: 0 });
  await two.ask({ id: 's', chunks: numbers(1, 20), isOver: true });
  await a.told('done', 's');
  assert.deepEqual(a.of('s'), numbers(1, 20));
});

test('a stream that a busy process has claimed is not begun elsewhere, and who asks for it comes back', async (t) => {
  const { one, two, redis, threadId } = await pair(t);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  a.say({ type: 'stream', streamId: 'begun' });
  await b.told('started', 'begun');
  const client = await RedisClient.connect(redis.port);
  t.after(() => client.end());
  // As it has it between the claim and the start.
  const [key] = (await client.call('KEYS', '*:begun')).map(String);
  await client.call('SET', key.replace(/begun$/, 'claimed'), await client.call('GET', key));
  one.ask({ busyForMs: 15_000 }).catch(() => {});
  b.say({ type: 'stream', streamId: 'claimed' });
  assert.equal((await once(b.ws, 'close'))[0], 1013);
  assert.equal((await two.ask({ id: 'claimed' })).requests, 0);
});

test('a stream that a process has claimed and forgotten, without letting it go, is answered in the end', async (t) => {
  const { one, two, redis, threadId } = await pair(t);
  const a = await Watcher.open(t, one, threadId);
  a.say({ type: 'stream', streamId: 'begun' });
  await a.told('started', 'begun');
  const client = await RedisClient.connect(redis.port);
  t.after(() => client.end());
  const [key] = (await client.call('KEYS', '*:begun')).map(String);
  const other = freshThread();
  await client.call('SET', key.replace(/begun$/, 'left').replace(threadId, other), await client.call('GET', key));
  // Who has claimed it does not know of its thread any more.
  await until('it to be answered', async () => {
    const { ws, messages } = await Watcher.open(t, two, other);
    ws.send(JSON.stringify({ type: 'stream', streamId: 'left' }));
    const isBegun = () => messages.some(({ type }) => type === 'started');
    await until('an answer', () => isBegun() || ws.readyState === ws.CLOSED);
    return isBegun();
  });
  assert.equal((await two.ask({ id: 'left' })).requests, 1);
});

test('what a process keeps of streams that another has run counts like its own, and is asked for again', async (t) => {
  const { one, two, threadId } = await pair(t, { two: { maxKeptBytes: 50_000 } });
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  const ids = ['s', 't', 'u'];
  for (const id of ids) {
    await answer(one, a, id, [id.repeat(20_000), id.repeat(20_000)]);
    await b.told('done', id);
  }
  // Of the first nothing is left here but where it came from.
  const c = await Watcher.open(t, two, threadId);
  assert.deepEqual(c.streams.map(({ streamId }) => streamId).sort(), ids);
  c.say({ type: 'recover', streamId: 's', seq: 1 });
  await c.told('done', 's');
  assert.deepEqual(c.of('s'), ['s'.repeat(20_000)]);
  assert.equal(b.messages.filter(({ type, streamId }) => type === 'started' && streamId === 's').length, 1);
  await one.service.stop('SIGKILL');
  const kept = await Promise.all(
    ids.map(async (streamId) => {
      const client = await Watcher.open(t, two, threadId);
      client.say({ type: 'recover', streamId, seq: 0 });
      await until(`an answer about ${streamId}`, () => {
        return client.messages.some((message) => message.streamId === streamId && message.type !== 'chunk');
      });
      return client.of(streamId).length > 0;
    }),
  );
  assert.equal(kept.filter(Boolean).length, 1, 'as many as fit');
});

test('a process that ends in order says so: what ran there has failed elsewhere at once, and may be asked for again', async (t) => {
  const { one, two, redis, threadId } = await pair(t);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  await answer(one, a, 'over', numbers(1, 3));
  await b.told('done', 'over');
  for (const streamId of ['s', 'unread']) a.say({ type: 'stream', streamId });
  await b.told('started', 'unread');
  await one.ask({ id: 's', chunks: numbers(1, 500) });
  await a.has('s', 500);
  const ms = await timed(async () => {
    const ended = one.service.stop('SIGTERM');
    for (const [streamId, last] of [
      ['s', 500],
      ['unread', 0],
    ]) {
      const { code, seq } = await b.told('error', streamId);
      assert.deepEqual({ code, seq }, { code: 'STREAM_FAILED', seq: last });
    }
    assert.deepEqual(await ended, { code: 0, signal: null });
  });
  assert.ok(ms < 4000, `${ms} ms`);
  assert.deepEqual(b.of('s'), numbers(1, 500), 'its last words are heard before that');
  const c = await Watcher.open(t, two, threadId);
  c.say({ type: 'recover', streamId: 'over', seq: 0 });
  await c.told('done', 'over');
  // What nobody has followed is asked for anew, and nobody else has it.
  const client = await RedisClient.connect(redis.port);
  t.after(() => client.end());
  assert.deepEqual(await client.call('KEYS', '*thread:*'), []);
});
