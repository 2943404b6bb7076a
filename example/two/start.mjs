// `npm run start:two`, after `npm run build`: this app in two processes that are one hub, over a Redis and behind nginx. PORT is
// nginx' port, HUB_REDIS_URL a Redis to use in place of one of its own. Ctrl-C ends what was started here, and nothing else.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { configuration } from './nginx.mjs';
import { find, Part } from './parts.mjs';

/** npm and a terminal both pass Ctrl-C on: what comes within this time is one. */
const SAME_MS = 500;

const app = path.dirname(import.meta.dirname);
const port = Number(process.env.PORT || 3000);
const programs = { nginx: find('nginx'), redis: process.env.HUB_REDIS_URL || find('redis-server', 'valkey-server') };
checkWhatIsThere();

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-two-'));
/** In the order in which they are started, and ended the other way round. */
const parts = [];
let ending;
process.on('exit', () => {
  for (const { child, isAlive } of parts) if (isAlive) child.kill('SIGKILL');
  fs.rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

try {
  await start();
} catch (error) {
  giveUp(error.message);
}

function checkWhatIsThere() {
  const lacks = [];
  if (!programs.redis) lacks.push('redis-server (or valkey-server, or HUB_REDIS_URL)');
  if (!programs.nginx) lacks.push('nginx');
  if (!fs.existsSync(path.join(app, '.next', 'BUILD_ID'))) lacks.push('the built app: npm run build');
  if (lacks.length === 0) return;
  console.error(`Two processes need what is not here: ${lacks.join('; ')}`);
  process.exit(1);
}

async function start() {
  const redis = process.env.HUB_REDIS_URL || (await startRedis());
  const sockets = [1, 2].map((number) => path.join(folder, `${number}.sock`));
  const shared = {
    NODE_ENV: 'production',
    HUB_REDIS_URL: redis,
    HUB_TOKEN_SECRET: randomBytes(32).toString('base64url'),
    HUB_EXAMPLE_SOCKETS: sockets.join(':'),
  };
  const servers = sockets.map((socket, index) => {
    const env = { ...process.env, ...shared, PORT: socket };
    return begin(new Part(`process ${index + 1}`, process.execPath, ['server.mjs'], { cwd: app, env, ipc: true }));
  });
  await Promise.all(servers.map((server) => server.saysReady()));
  await startNginx(sockets);
  console.log(welcome(servers));
  for (const server of servers) server.ended.then((how) => lost(server, how, servers));
}

async function startRedis() {
  const socket = path.join(folder, 'redis.sock');
  const remembersNothing = ['--save', '', '--appendonly', 'no', '--dir', folder];
  const redis = begin(new Part('redis', programs.redis, ['--port', '0', '--unixsocket', socket, ...remembersNothing]));
  redis.ended.then((how) => giveUp(`redis has ended: ${how}`));
  await redis.listensOn(socket);
  return `unix://${socket}`;
}

async function startNginx(sockets) {
  const file = path.join(folder, 'nginx.conf');
  fs.writeFileSync(file, configuration(folder, port, sockets));
  const nginx = begin(new Part('nginx', programs.nginx, ['-p', folder, '-e', 'stderr', '-c', file]));
  nginx.ended.then((how) => giveUp(`nginx has ended: ${how}`));
  await nginx.listensOn(port);
}

function begin(part) {
  parts.unshift(part);
  return part;
}

function welcome(servers) {
  return `
  Two processes, one hub:  http://localhost:${port}

  Open it in two windows, each of which gets a process of its own, and type in both. "Connections"
  says which process has how many. End one of them and see its window go on with the other:
${servers.map(({ name, child }) => `    kill -9 ${child.pid}    # ${name}`).join('\n')}

  Text and notes are one document for both; threads with the agent are still each process's own.

  Ctrl-C ends both processes, nginx${process.env.HUB_REDIS_URL ? '' : ' and the Redis'}.
`;
}

/** One of the servers is gone, which the windows get over as long as there is another. */
function lost({ name }, how, servers) {
  if (ending) return;
  const others = servers.filter(({ isAlive }) => isAlive);
  if (others.length === 0) giveUp(`${name} has ended, too: ${how}`);
  else console.log(`  ${name} has ended: ${how}. Its windows go on with ${others.map((other) => other.name)}.`);
}

function giveUp(why) {
  if (ending) return;
  console.error(why);
  void end(1);
}

/** Ends everything: the servers first, so that windows are told, then what they need. Called again, it does not wait. */
async function end(code) {
  if (ending && Date.now() - ending > SAME_MS) process.exit(1);
  if (ending) return;
  ending = Date.now();
  const isServer = ({ name }) => name.startsWith('process');
  await Promise.all(parts.filter(isServer).map((part) => part.end()));
  for (const part of parts) await part.end();
  process.exit(code);
}
