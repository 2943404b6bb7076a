// Several processes of a server over one Redis: node several.mjs FILE COUNT. Says where the first listens, then, as JSON, where the
// others do and which process is Redis. Ends them all when it is told to end.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startRedis } from '../lib/redis.mjs';

const [file, count] = process.argv.slice(2);
const redis = await startRedis();
const env = {
  ...process.env,
  HUB_REDIS_URL: redis.url,
  HUB_TOKEN_SECRET: 'a secret of at least 32 bytes, of a benchmark',
};
const children = [];

async function end(code) {
  for (const child of children) child.kill('SIGKILL');
  await redis.stop();
  process.exit(code);
}
process.once('SIGTERM', () => end(0));

async function startOne() {
  const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  child.once('exit', () => end(1));
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /listening on (\S+:\d+)/.exec(line);
    if (found) return { host: found[1], pid: child.pid };
  }
  throw new Error(`${file} does not listen`);
}

const [first, ...others] = await Promise.all(Array.from({ length: Number(count) }, startOne));
console.log(`listening on ${first.host} ${JSON.stringify({ pid: first.pid, others, shared: redis.child.pid })}`);
