// Threads of agents whose clients are in several processes: a stream runs in one, and is followed from all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAgents, Wanderer, Watcher } from './support/agent-processes.mjs';
import { randomOf } from './support/agent-server.mjs';
import { freshThread } from './support/fake-socket.mjs';
import { until } from './support/processes.mjs';
import { RedisClient } from './support/redis-client.mjs';
import { startCluster, startRedis } from './support/redis.mjs';

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => `${from + index} `);

async function pair(t, agent, start = startRedis) {
  const redis = await start(t);
  const url = start === startCluster ? `redis+cluster://127.0.0.1:${redis.port}` : redis.url;
  const [one, two] = await Promise.all([startAgents(t, url, agent), startAgents(t, url, agent)]);
  return { redis, url, one, two, threadId: freshThread() };
}

for (const [where, start] of [
  ['a Redis', startRedis],
  ['a Redis Cluster', startCluster],
]) {
  test(`over ${where} a stream is followed from another process, from its start and without a gap`, async (t) => {
    const { one, two, threadId } = await pair(t, {}, start);
    const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
    a.say({ type: 'stream', streamId: 's' });
    await b.told('started', 's');
    await one.ask({ id: 's', chunks: numbers(1, 100) });
    await b.has('s', 100);
    // Who comes while it runs is told of it, and gets what was before, then what is to come.
    const late = await Watcher.open(t, two, threadId);
    assert.equal(late.streams[0].streamId, 's');
    assert.equal(late.streams[0].state, 'running');
    late.say({ type: 'recover', streamId: 's', seq: 40 });
    for (let from = 101; from <= 1000; from += 50) await one.ask({ id: 's', chunks: numbers(from, from + 49) });
    await one.ask({ id: 's', isOver: true });
    for (const watcher of [a, b, late]) assert.equal((await watcher.told('done', 's')).seq, 1000);
    assert.deepEqual(b.of('s'), numbers(1, 1000));
    assert.deepEqual(a.of('s'), numbers(1, 1000));
    assert.deepEqual(late.of('s'), numbers(41, 1000));
  });
}

test('who comes to a process in which nobody has followed gets the whole of it, also when it has ended', async (t) => {
  const { one, two, threadId } = await pair(t);
  const a = await Watcher.open(t, one, threadId);
  a.say({ type: 'stream', streamId: 's' });
  await a.told('started', 's');
  await one.ask({ id: 's', chunks: numbers(1, 500) });
  await a.has('s', 500);
  const b = await Watcher.open(t, two, threadId);
  assert.deepEqual(b.streams, [{ streamId: 's', state: 'running', seq: 500 }]);
  b.say({ type: 'recover', streamId: 's', seq: 0 });
  await one.ask({ id: 's', chunks: numbers(501, 600), isOver: true });
  await b.told('done', 's');
  assert.deepEqual(b.of('s'), numbers(1, 600));

  b.ws.terminate();
  const c = await Watcher.open(t, two, threadId);
  assert.deepEqual(c.streams, [{ streamId: 's', state: 'done', seq: 600 }]);
  c.say({ type: 'recover', streamId: 's', seq: 599 });
  await c.told('done', 's');
  assert.deepEqual(c.of('s'), ['600 ']);
  c.say({ type: 'recover', streamId: 's', seq: 601 });
  assert.equal((await c.told('error', 's')).code, 'UNRECOVERABLE');
  c.say({ type: 'recover', streamId: 'none', seq: 0 });
  assert.equal((await c.told('error', 'none')).code, 'UNKNOWN_STREAM');
});

test('what is no longer kept is not given to who comes to another process either', async (t) => {
  const { one, two, threadId } = await pair(t, { maxHistoryChunks: 10 });
  const a = await Watcher.open(t, one, threadId);
  a.say({ type: 'stream', streamId: 's' });
  await a.told('started', 's');
  await one.ask({ id: 's', chunks: numbers(1, 100) });
  await a.has('s', 100);
  const b = await Watcher.open(t, two, threadId);
  b.say({ type: 'recover', streamId: 's', seq: 50 });
  assert.equal((await b.told('error', 's')).code, 'UNRECOVERABLE');
  const c = await Watcher.open(t, two, threadId);
  c.say({ type: 'recover', streamId: 's', seq: 95 });
  await one.ask({ id: 's', chunks: numbers(101, 102), isOver: true });
  await c.told('done', 's');
  assert.deepEqual(c.of('s'), numbers(96, 102));
  assert.deepEqual(b.of('s'), []);
});

test('a stream that is asked for in two processes is answered once', async (t) => {
  const { one, two, threadId } = await pair(t);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  const ids = Array.from({ length: 6 }, (_, index) => `s${index}`);
  for (const streamId of ids) for (const watcher of [a, b]) watcher.say({ type: 'stream', streamId });
  for (const id of ids) {
    await until(`${id} to be answered`, async () => {
      const asked = [await one.ask({ id }), await two.ask({ id })];
      return asked[0].requests + asked[1].requests > 0;
    });
    for (const process of [one, two]) await process.ask({ id, chunks: [id], isOver: true });
    for (const watcher of [a, b]) {
      await watcher.told('done', id);
      assert.deepEqual(watcher.of(id), [id]);
    }
    const [here, there] = [await one.ask({ id }), await two.ask({ id })];
    assert.equal(here.requests + there.requests, 1);
  }
});

test('a client of another process ends a stream for everybody, also one who does not follow it', async (t) => {
  const { one, two, threadId } = await pair(t);
  const a = await Watcher.open(t, one, threadId);
  a.say({ type: 'stream', streamId: 's' });
  await a.told('started', 's');
  await one.ask({ id: 's', chunks: numbers(1, 3) });
  await a.has('s', 3);
  const b = await Watcher.open(t, two, threadId);
  b.say({ type: 'abort', streamId: 's' });
  for (const watcher of [a, b]) {
    const { aborted, seq } = await watcher.told('done', 's');
    assert.deepEqual({ aborted, seq }, { aborted: true, seq: 3 });
  }
  await until('the producer to be asked to stop', async () => (await one.ask({ id: 's' })).aborted);
});

test('a stream goes on while it is watched from anywhere, and ends when the last has left', async (t) => {
  const { one, two, threadId } = await pair(t, { graceMs: 50 });
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  a.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  a.ws.terminate();
  // A second of questions whether anybody is there.
  for (let n = 1; n <= 10; n += 1) {
    await one.ask({ id: 's', chunks: [`${n} `] });
    await b.has('s', n);
    assert.equal((await one.ask({ id: 's' })).aborted, false);
  }
  b.ws.terminate();
  await until('the producer to be asked to stop', async () => (await one.ask({ id: 's' })).aborted);
});

test('of a thread that everybody has left nothing stays in Redis', async (t) => {
  const { redis, one, two, threadId } = await pair(t, { keepMs: 50, graceMs: 0 });
  const client = await RedisClient.connect(redis.port);
  t.after(() => client.end());
  const there = async () => [
    await client.call('PUBSUB', 'CHANNELS', '*thread:*'),
    await client.call('KEYS', '*thread:*'),
  ];
  for (const streamId of ['s', 't']) {
    const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
    a.say({ type: 'stream', streamId });
    await b.told('started', streamId);
    assert.deepEqual(
      (await there()).map(({ length }) => length),
      [1, 1],
    );
    // One ends by itself, the other because nobody is left.
    if (streamId === 's') await one.ask({ id: streamId, isOver: true });
    for (const { ws } of [a, b]) ws.terminate();
    await until('nothing to be there', async () => (await there()).flat().length === 0);
  }
  // Who is gone before it is answered leaves nothing either.
  const c = await Watcher.open(t, two, threadId);
  c.say({ type: 'recover', streamId: 'none', seq: 0 });
  c.say({ type: 'stream', streamId: 'u' });
  c.ws.close();
  await until('the stream to be ended', async () => (await two.ask({ id: 'u' })).aborted);
  await until('nothing to be there', async () => (await there()).flat().length === 0);
});

test('when the process of a stream dies, those who follow it elsewhere are told that it failed', async (t) => {
  const { one, two, threadId } = await pair(t);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  a.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  await one.ask({ id: 's', chunks: numbers(1, 3) });
  await b.has('s', 3);
  await one.service.stop('SIGKILL');
  const { code, seq } = await b.told('error', 's');
  assert.deepEqual({ code, seq }, { code: 'STREAM_FAILED', seq: 3 });
  // Who asks again gets a new answer, where its client is.
  b.say({ type: 'stream', streamId: 't' });
  await b.told('started', 't');
});

test('what is told while Redis is away is made up for when it is back, and nobody is taken for gone', async (t) => {
  const { redis, one, two, threadId } = await pair(t);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  a.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  await one.ask({ id: 's', chunks: numbers(1, 10) });
  await b.has('s', 10);
  redis.service.child.kill('SIGSTOP');
  await one.ask({ id: 's', chunks: numbers(11, 100) });
  await a.has('s', 100);
  for (const process of [one, two]) {
    await until('Redis to be away', async () => !(await process.ask({ id: 's' })).isReady);
  }
  await one.ask({ id: 's', chunks: numbers(101, 200) });
  await a.has('s', 200);
  assert.equal(b.of('s').length, 10);
  redis.service.child.kill('SIGCONT');
  await b.has('s', 200);
  await one.ask({ id: 's', chunks: numbers(201, 300), isOver: true });
  await b.told('done', 's');
  assert.deepEqual(b.of('s'), numbers(1, 300));
});

test('a producer waits for a client of another process that does not read', async (t) => {
  const agent = { maxBufferedBytes: 16_384, slowWatcherMs: 10_000 };
  const { one, two, threadId } = await pair(t, agent);
  const [a, b] = [await Watcher.open(t, one, threadId), await Watcher.open(t, two, threadId)];
  a.say({ type: 'stream', streamId: 's' });
  await b.told('started', 's');
  b.ws.pause();
  // More than what fits between.
  const times = 2000;
  await one.ask({ id: 's', repeat: { chunk: 'x'.repeat(16_384), times } });
  const taken = async () => (await one.ask({ id: 's' })).taken;
  let before = -1;
  await until('the producer to wait', async () => before === (before = await taken()));
  assert.ok(before < times, `${before} chunks were taken`);
  b.ws.resume();
  await one.ask({ id: 's', isOver: true });
  for (const watcher of [a, b]) {
    await watcher.told('done', 's');
    assert.equal(watcher.of('s').length, times);
  }
});

test('clients that are cut off at random, and a Redis that cuts off the processes, cost nobody a chunk', async (t) => {
  const { url, port, threadId } = await startRedis(t).then((redis) => ({ ...redis, threadId: freshThread() }));
  const processes = await Promise.all([1, 2, 3].map(() => startAgents(t, url, { maxHistoryBytes: 64 << 20 })));
  const random = randomOf(Number(process.env.AGENTS_SEED ?? 26));
  const pick = (of) => of[Math.floor(random() * of.length)];
  const redis = await RedisClient.connect(port);
  t.after(() => redis.end());
  const ids = ['p', 'q', 'r'];
  const owners = new Map();
  const starter = await Watcher.open(t, processes[0], threadId);
  for (const [index, id] of ids.entries()) {
    const asker = index === 0 ? starter : await Watcher.open(t, processes[index], threadId);
    asker.say({ type: 'stream', streamId: id });
    await starter.told('started', id);
    owners.set(id, processes[index]);
  }
  const clients = Array.from({ length: 12 }, () => new Wanderer(t, { processes, threadId, ids, pick }));
  await Promise.all(clients.map((client) => client.move()));
  const total = 1200;
  for (let from = 1; from <= total; from += 20) {
    await Promise.all(ids.map((id) => owners.get(id).ask({ id, chunks: numbers(from, from + 19) })));
    await Promise.all([pick(clients).move(), pick(clients).move()]);
    if (from % 200 === 101) await redis.call('CLIENT', 'KILL', 'TYPE', pick(['pubsub', 'normal']), 'SKIPME', 'yes');
  }
  for (const id of ids) await owners.get(id).ask({ id, isOver: true });
  for (const client of clients) {
    for (const id of ids) {
      await until(
        () => `the end of ${id}, at ${client.seq(id)}`,
        () => client.isOver(id),
      );
      assert.deepEqual(client.chunks.get(id), numbers(1, total), `${id}: all of it, each once`);
    }
  }
});
