// A hub with many open documents, and a Redis that is killed and started again with what it kept. Prints how long after that took
// connections all documents were followed again, in milliseconds.
//
//   node hub-reopen.mjs DOCUMENTS
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { metrics } from '../../js/index.js';
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
await once(server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }), 'listening');
const base = `ws://127.0.0.1:${server.address().port}/ws/fabric`;
const sockets = [];

async function open(number) {
  const socket = new WebSocket(`${base}?documentId=document-${number}&clientID=a`, { perMessageDeflate: false });
  sockets.push(socket);
  await once(socket, 'message');
  const update = { type: 'update', documentId: `document-${number}`, update: 1, id: 1, ack: true };
  socket.send(JSON.stringify(update));
  await once(socket, 'message');
}

for (let first = 0; first < documents; first += AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, documents - first) }, (_, index) => open(first + index)));
}
await until(() => followed() === documents);
await redis.restart();
const back = performance.now();
await until(() => hub.stats().redis.ready);
const ready = performance.now() - back;
const closed = sockets.filter(({ readyState }) => readyState !== WebSocket.OPEN).length;
if (closed > 0) throw new Error(`${closed} clients were closed`);
await redis.stop();
console.log(JSON.stringify({ ready_ms: ready, documents }));
process.exit();
