// What is still awaited when the hub of a process ends that cannot reach Redis.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHub, startRedis } from './support/redis.mjs';

const PROGRAM = `
  import http from 'node:http';
  import { broadcastSteps, createWebSocketManager, publish, registerHandler } from '@captify-io/hub';
  import { createHub } from '@captify-io/hub/server';
  import globalHub from ${JSON.stringify(new URL('../js/shared/global-hub.js', import.meta.url).href)};
  const ignore = () => {};
  registerHandler({ path: '/ws/room', onConnect: ignore, onMessage: ignore, onClose: ignore, onError: ignore });
  const hub = createHub(JSON.parse(process.argv[1]));
  const server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
  const outcomes = {};
  const note = (name, promise) => {
    outcomes[name] = 'open';
    promise.then(
      (value) => (outcomes[name] = String(value)),
      ({ code }) => (outcomes[name] = code),
    );
  };
  process.on('message', async ({ ask, awaits }) => {
    const { channels } = globalHub.runningHub();
    if (ask === 'before') {
      await broadcastSteps('doc', [{ stepType: 'x' }], 'before');
      process.send({ done: true });
      return;
    }
    note('listen', channels.listen('/ws/room', '\\0room', { leave: () => new Promise(ignore) }));
    // More than goes to Redis at once.
    for (let n = 0; n < 600; n += 1) note('tell ' + n, channels.tell('/ws/room', '\\0room', 'x'));
    note('claim', channels.claim('/ws/room', '\\0room', 'name', 1000));
    note('release', channels.release('/ws/room', '\\0room', 'name'));
    for (const id of ['doc', 'another']) note('broadcastSteps ' + id, broadcastSteps(id, [{ stepType: 'x' }], id));
    note('publish', publish('/ws/room', 'room', 'text'));
    note('broadcast', createWebSocketManager().broadcast('/ws/room', { type: 'text' }));
    await hub.close({ timeoutMs: 300 });
    for (let turn = 0; turn < 100 && Object.values(outcomes).includes('open'); turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    process.send(outcomes);
    server.close();
    process.disconnect();
  });
`;

test('everything that is awaited settles when the hub ends while Redis is silent, and the process ends by itself', async (t) => {
  const redis = await startRedis(t);
  t.after(() => redis.service.child.kill('SIGCONT'));
  const one = await startHub(t, redis.url, { logLevel: 'off' }, PROGRAM);
  await one.ask({ ask: 'before' });
  redis.service.child.kill('SIGSTOP');
  const { publish, broadcast, ...outcomes } = await one.ask({ ask: 'all' });
  assert.deepEqual({ publish, broadcast }, { publish: '0', broadcast: '0' });
  const others = Object.entries(outcomes).map(([name, outcome]) => [name.replace(/ \d+$/, ''), outcome]);
  assert.deepEqual(Object.fromEntries(others), {
    listen: 'false',
    tell: 'undefined',
    claim: 'undefined',
    release: 'undefined',
    'broadcastSteps doc': 'HUB_UNAVAILABLE',
    'broadcastSteps another': 'HUB_UNAVAILABLE',
  });
  assert.equal(Object.values(outcomes).includes('open'), false);
  assert.deepEqual(await one.service.exit, { code: 0, signal: null });
});
