// The least that several processes over Redis can cost it: a script that numbers, appends to a bounded stream and publishes to two
// subscribers, called 8 at a time in one write. Prints Redis' processor time a publication, in nanoseconds.
//
//   node redis-loop.mjs MILLISECONDS
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { startRedis } from '../lib/redis.mjs';

const IN_FLIGHT = 8;
/** As long as what the load generator publishes. */
const PAYLOAD = 'u'.repeat(200);
const SCRIPT = `
local offset = redis.call('HINCRBY', KEYS[1], 'o', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, offset .. '-0', 'd', ARGV[1])
redis.call('PUBLISH', KEYS[3], offset .. ' ' .. ARGV[1])
return offset`;

const command = (...words) => `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;

function spent(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce(
    (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

const redis = await startRedis();
const connect = async () => {
  const socket = net.connect(redis.port, '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  return socket;
};
const ask = async (socket, text) => {
  socket.write(text);
  return String((await once(socket, 'data'))[0]);
};
for (let index = 0; index < 2; index += 1) {
  const subscriber = await connect();
  await ask(subscriber, command('SUBSCRIBE', 'c'));
  subscriber.resume();
}
const socket = await connect();
const [, digest] = /([0-9a-f]{40})/.exec(await ask(socket, command('SCRIPT', 'LOAD', SCRIPT)));
const batch = command('EVALSHA', digest, '3', 'm', 's', 'c', PAYLOAD).repeat(IN_FLIGHT);

async function loop(milliseconds) {
  const until = performance.now() + milliseconds;
  let publications = 0;
  while (performance.now() < until) {
    socket.write(batch);
    for (let answers = 0; answers < IN_FLIGHT;) {
      const [data] = await once(socket, 'data');
      answers += String(data).split('\r\n').length - 1;
    }
    publications += IN_FLIGHT;
  }
  return publications;
}

await loop(500);
const before = spent(redis.child.pid);
const publications = await loop(Number(process.argv[2]));
console.log(JSON.stringify({ redis_ns: (spent(redis.child.pid) - before) / publications, publications }));
await redis.stop();
process.exit();
