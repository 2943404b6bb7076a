// A hub with many open documents, and a Redis that is killed and started again with what it kept. Prints how long after that took
// connections all documents were followed again, in milliseconds.
//
//   node hub-reopen.mjs DOCUMENTS
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { broadcastSteps, metrics } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { startRedis } from '../lib/redis.mjs';

const AT_ONCE = 200;
const documents = Number(process.argv[2]);

async function until(isTrue) {
  while (!isTrue()) await delay(2);
}

const followed = () => metrics().find(({ name }) => name === 'hub_redis_documents').values[0].value;

const redis = await startRedis({ args: ['--appendonly', 'yes'] });
const hub = createHub({ redis: redis.url, tokenSecret: 'x'.repeat(32), limits: false, logLevel: 'off' });
const server = http.createServer();
hub.attach(server);
await once(server.listen(0, '127.0.0.1'), 'listening');
// Without members, who would need more descriptors than a process has: a document that was published to stays open for a while.
for (let first = 0; first < documents; first += AT_ONCE) {
  const some = Array.from({ length: Math.min(AT_ONCE, documents - first) }, (_, index) => `document-${first + index}`);
  await Promise.all(some.map((documentId) => broadcastSteps(documentId, [{ stepType: 'x' }], 'c1')));
}
await until(() => followed() === documents);
await redis.restart();
const back = performance.now();
await until(() => hub.stats().redis.ready);
const ready = performance.now() - back;
await redis.stop();
console.log(JSON.stringify({ ready_ms: ready, documents }));
process.exit();
