// How long a hub with many open documents is not ready after Redis was killed and started again: all of them are subscribed to and
// brought up to date before it says so.
//
//   node bench/catch-up.mjs [--documents 10000] [--json FILE]
//
// Each document has one member and one publication in its log. Redis keeps an append-only file, so that no document has lost anything.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import { broadcastSteps } from '../js/index.js';
import { createHub } from '../js/server.js';
import { startRedis } from './lib/redis.mjs';

const AT_ONCE = 100;
const LOOK_EVERY_MS = 5;
const GIVE_UP_MS = 60_000;

const idOf = (index) => `catch-up-${index}`;
const steps = [{ stepType: 'replace', from: 1, to: 1 }];

async function inTurn(count, act) {
  let next = 0;
  const work = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** In a process of its own: the members, which do nothing. */
async function members([url, count]) {
  await inTurn(Number(count), async (index) => {
    const socket = new WebSocket(`${url}/ws/fabric?documentId=${idOf(index)}&clientID=member`);
    await once(socket, 'message');
    socket.on('close', (code) => process.send({ closed: code }));
  });
  process.send('open');
}

async function measure(count) {
  const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hub = createHub({
    limits: false,
    logLevel: 'error',
    redis: redis.url,
    tokenSecret: 'a secret of at least 32 bytes, of a benchmark',
  });
  hub.attach(server);
  const child = fork(import.meta.filename, ['--members', `ws://127.0.0.1:${server.address().port}`, String(count)]);
  let closed = 0;
  child.on('message', (message) => (closed += message.closed === undefined ? 0 : 1));
  while ((await once(child, 'message'))[0] !== 'open');
  const publish = (documents) =>
    inTurn(documents, async (index) => {
      const got = await broadcastSteps(idOf(index), steps, 'change');
      if (got !== 1) throw new Error(`${idOf(index)} reached ${got} members`);
    });
  await publish(count);
  // The append-only file is written once a second.
  await delay(1500);
  await redis.restart();
  const begun = performance.now();
  const until = async (wanted) => {
    while (hub.health().ready !== wanted) {
      if (performance.now() - begun > GIVE_UP_MS) throw new Error(`ready is not ${wanted} after ${GIVE_UP_MS} ms`);
      await delay(LOOK_EVERY_MS);
    }
    return performance.now() - begun;
  };
  // Redis was away before it was back; where the hub is quicker than this process looks, it is ready again already.
  const ready = await until(true);
  await publish(count);
  child.kill('SIGKILL');
  await redis.stop();
  return { documents: count, readyMs: Math.round(ready), closed };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    documents: { type: 'string', default: '10000' },
    json: { type: 'string' },
    members: { type: 'boolean', default: false },
  },
});

if (values.members) await members(positionals);
else {
  const result = await measure(Number(values.documents));
  console.log(JSON.stringify(result));
  if (values.json) writeFileSync(values.json, JSON.stringify(result));
  process.exit();
}
