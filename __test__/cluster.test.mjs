// Several processes over one Redis, each a Node of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { test } from 'node:test';
import { HubClient } from './support/hub-client.mjs';
import { until } from './support/processes.mjs';
import { ending } from './support/programs.mjs';
import { SECRET, startHub, startProcess, startRedis } from './support/redis.mjs';

async function join(t, { base }, clientID) {
  const client = new HubClient(`${base}/ws/fabric?documentId=doc&clientID=${clientID}`);
  t.after(() => client.drop());
  await client.receivedAll('connected', 1);
  return client;
}

const updates = async (client, count) => (await client.receivedAll('update', count)).map(({ update }) => update);

test('clients of two processes see one order, and what a route handler of either sends', async (t) => {
  const { url } = await startRedis(t);
  const [one, two] = await Promise.all([startHub(t, url, { logLevel: 'warn' }), startHub(t, url)]);
  assert.match(one.service.output, /over Redis rates and some limits are each process's own/);
  const [a, b] = [await join(t, one, 'a'), await join(t, two, 'b')];
  const [c, d] = [await join(t, one, 'c'), await join(t, two, 'd')];
  for (let id = 1; id <= 50; id += 1) {
    for (const client of [a, b]) client.send({ type: 'update', documentId: 'doc', update: id, id });
  }
  const seen = [await updates(c, 100), await updates(d, 100)];
  assert.deepEqual(seen[0], seen[1]);
  const offsets = c.all('update').map(({ offset }) => offset);
  assert.deepEqual(
    offsets,
    [...Array(100).keys()].map((index) => index + 1),
  );
  assert.deepEqual(await two.ask({ ask: 'broadcast', changeId: 'c1' }), { count: 4 }, 'of both processes');
  for (const client of [a, b, c, d]) {
    const [{ changeId, offset }] = await client.receivedAll('steps', 1);
    assert.deepEqual([changeId, offset], ['c1', 101]);
  }
  assert.deepEqual((await one.ask({ ask: 'stats' })).redis, { ready: true });
});

test('every process counts the connections of all, also when one has died', async (t) => {
  const { url } = await startRedis(t);
  const [one, two] = await Promise.all([startHub(t, url), startHub(t, url)]);
  await Promise.all([join(t, one, 'a'), join(t, one, 'b'), join(t, two, 'c')]);
  const counted = (hub, expected) =>
    until('all to be counted', async () => {
      const { processes, connections, documents } = await hub.ask({ ask: 'counts' });
      return JSON.stringify([processes, connections, documents.doc]) === JSON.stringify(expected);
    });
  await Promise.all([counted(one, [2, 3, 3]), counted(two, [2, 3, 3])]);
  const { list } = await two.ask({ ask: 'counts' });
  const [{ id, host, since, version, ...rest }, other] = list;
  assert.deepEqual(rest, { pid: two.service.child.pid, connections: 1, documents: 1 });
  assert.deepEqual([host, other.host, other.pid], [os.hostname(), os.hostname(), one.service.child.pid]);
  const manifest = fs.readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  assert.equal(version, JSON.parse(manifest).version);
  assert.notEqual(id, other.id);
  assert.ok(Math.abs(Date.now() - Date.parse(since)) < 60_000, since);
  await one.service.stop('SIGKILL');
  await counted(two, [1, 1, 1]);
});

test('a room of a handler has members in all processes, and so has its endpoint', async (t) => {
  const { url } = await startRedis(t);
  const [one, two] = await Promise.all([startHub(t, url), startHub(t, url)]);
  const [a, b] = [one, two].map(({ base }) => new HubClient(`${base}/ws/room`));
  for (const client of [a, b]) t.after(() => client.drop());
  await until('the members to be heard of', async () => {
    await one.ask({ ask: 'publish', text: '{"type":"first"}' });
    return [a, b].every((client) => client.all('first').length > 0);
  });
  for (let n = 0; n < 50; n += 1)
    assert.deepEqual(await two.ask({ ask: 'publish', text: `{"type":"n","n":${n}}` }), { count: 1 });
  assert.deepEqual(await two.ask({ ask: 'tell', message: { type: 'all' } }), { count: 1 });
  for (const client of [a, b]) {
    await client.receivedAll('all', 1);
    const numbers = client.all('n').map(({ n }) => n);
    assert.deepEqual(numbers, [...Array(50).keys()]);
  }
});

test('a client whose process was killed comes back to another, and has missed nothing', async (t) => {
  const { url } = await startRedis(t);
  const [one, two] = await Promise.all([startHub(t, url), startHub(t, url)]);
  const [a, b] = [await join(t, one, 'a'), await join(t, two, 'b')];
  const { token, epoch } = a.messages[0];
  a.send({ type: 'update', documentId: 'doc', update: 'of a', id: 1, ack: true });
  await a.receivedAll('ack', 1);
  await one.service.stop('SIGKILL');
  b.send({ type: 'update', documentId: 'doc', update: 'missed', id: 1, ack: true });
  await b.receivedAll('ack', 1);
  const query = new URLSearchParams({ documentId: 'doc', clientID: 'a', token, epoch, offset: '1' });
  const again = new HubClient(`${two.base}/ws/fabric?${query}`);
  t.after(() => again.drop());
  const [recovered] = await again.receivedAll('recovered', 1);
  assert.deepEqual(recovered, { type: 'recovered', from: 1, to: 2, upTo: 1 });
  assert.deepEqual(await updates(again, 1), ['missed']);
});

test('what one process is told about users every process does, also one that hears of it later', async (t) => {
  const { url } = await startRedis(t);
  const [one, two] = await Promise.all([startHub(t, url, { users: true }), startHub(t, url, { users: true })]);
  const HOUR_MS = 3_600_000;
  const join = async (user, forMs = HOUR_MS) => {
    const client = new HubClient(`${one.base}/ws/fabric?documentId=doc&clientID=${user}&user=${user}&forMs=${forMs}`);
    t.after(() => client.drop());
    await client.receivedAll('connected', 1);
    return client;
  };
  const [reader, left, gone, all] = await Promise.all(['r', 'l', 'g', 'a'].map((user) => join(user)));
  assert.deepEqual(await two.ask({ ask: 'setAccess', userId: 'r', access: 'read' }), { count: 0 });
  assert.equal((await reader.receivedAll('access', 1))[0].access, 'read');
  await two.ask({ ask: 'disconnectUser', userId: 'l' });
  assert.equal((await left.closing()).code, 4401);
  // So long that it is told to go on before it has ended.
  const [renewed, other] = [await join('n', 5000), await join('o', 5000)];
  await two.ask({ ask: 'renewSession', userId: 'n', expiresAt: Date.now() + HOUR_MS });
  assert.equal((await other.closing()).code, 4401);
  await renewed.synced('doc');

  one.service.child.kill('SIGSTOP');
  await two.ask({ ask: 'setAccess', userId: 'g', access: false });
  one.service.child.kill('SIGCONT');
  assert.equal((await gone.closing()).code, 4403);

  await one.ask({ ask: 'forbid' });
  await two.ask({ ask: 'recheckAccess' });
  assert.equal((await all.closing()).code, 4403);
});

test('while Redis is away clients stay, and a route handler is told that nothing is taken', async (t) => {
  const redis = await startRedis(t);
  const hub = await startHub(t, redis.url, { redis: { url: redis.url, waitMs: 300 } });
  const a = await join(t, hub, 'a');
  await redis.service.stop('SIGKILL');
  const away = await until('the hub to notice', async () => {
    const { redis: state } = await hub.ask({ ask: 'stats' });
    return state.ready ? null : state;
  });
  assert.equal(typeof away.reason, 'string');
  const { code } = await hub.ask({ ask: 'broadcast', changeId: 'c1' });
  assert.equal(code, 'HUB_UNAVAILABLE');
  await a.synced('doc');
});

test('a hub that cannot work over its Redis does not start, and says why in one line', async (t) => {
  const { url } = await startRedis(t);
  const evicting = await startRedis(t, ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru']);
  const faults = [
    [{ redis: 'redis://127.0.0.1:1' }, /HUB_REDIS/],
    [{ redis: evicting.url }, /allkeys-lru/],
    [{ redis: url, recoveryWindowMs: 0 }, /recoveryWindowMs/],
    [{ redis: url, tokenSecret: 'short' }, /tokenSecret/],
    [{ redis: { url, prefix: '{x}' } }, /redis\.prefix/],
    [{ redis: { url, nonsense: 1 } }, /redis\.nonsense/],
  ];
  for (const [options, expected] of faults) {
    const { code, output } = await ending(startProcess(url, options));
    assert.equal(code, 1, output);
    assert.match(output, expected);
    assert.ok(!output.includes(SECRET));
  }
});

test('metrics say how it stands with Redis, and that it is away', async (t) => {
  const redis = await startRedis(t);
  const [one] = await Promise.all([startHub(t, redis.url), startHub(t, redis.url)]);
  const a = await join(t, one, 'a');
  const look = async () => {
    const { families } = await one.ask({ ask: 'metrics' });
    return Object.fromEntries(families.map(({ name, values: [value] }) => [name, value.value ?? value.count]));
  };
  const seen = await until('both processes and a probe', async () => {
    const now = await look();
    return (
      now.hub_redis_processes === 2 &&
      now.hub_redis_round_trip_seconds > 0 &&
      now.hub_redis_probe_age_seconds < 3 &&
      now
    );
  });
  assert.deepEqual([seen.hub_redis_up, seen.hub_redis_documents, seen.hub_redis_losses_total], [1, 1, 0]);
  await redis.service.stop('SIGKILL');
  await until('it to be known', async () => (await look()).hub_redis_up === 0);
  a.send({ type: 'update', documentId: 'doc', update: 'waits', id: 1 });
  await until('it to wait', async () => (await look()).hub_redis_waiting_publications === 1);
  const { hub_redis_losses_total: losses, hub_redis_probe_age_seconds: age } = await look();
  assert.deepEqual([losses, age], [1, undefined]);
});
