// Redis servers of a test's own, and hubs over them, each a process.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { ensureSystemPackages } from '../../scripts/system.mjs';
import { freePorts } from './ports.mjs';
import { childEnvironment, Service } from './processes.mjs';
import { startProgram } from './programs.mjs';

/** The server that is tested with: `HUB_TEST_REDIS`, which may be a valkey-server, or what the system has; that has TLS. */
export async function redisProgram({ tls = false } = {}) {
  return (!tls && process.env.HUB_TEST_REDIS) || (await ensureSystemPackages(['redis'])).redis;
}

async function start(t, label, printed, args, program) {
  const command = await redisProgram(program);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-redis-'));
  let service;
  t.after(async () => {
    await service?.stop('SIGKILL');
    fs.rmSync(folder, { recursive: true, force: true });
  });
  for (let attempt = 1; ; attempt += 1) {
    const [port] = await freePorts(1);
    service = new Service(label, command, args(folder, port), { cwd: folder, env: childEnvironment() });
    try {
      await service.printed(printed);
      return { service, port };
    } catch (error) {
      // Another process may have taken the port between the look and the start.
      if (attempt === 5 || !service.output.includes('Address already in use')) throw error;
    }
  }
}

/** Starts a Redis on a free port, which forgets everything when it ends. */
export async function startRedis(t, args = [], program = {}) {
  const all = (folder, port) => {
    return ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...args];
  };
  const { service, port } = await start(t, 'redis-server', /Ready to accept connections/, all, program);
  return { service, port, url: `redis://127.0.0.1:${port}` };
}

/** Starts a cluster of one node. tests/cluster_nodes.rs has larger ones. */
export async function startCluster(t) {
  const [bus] = await freePorts(1);
  const redis = await startRedis(t, ['--cluster-enabled', 'yes', '--cluster-port', String(bus)]);
  const socket = net.connect(redis.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.setEncoding('utf8').write('CLUSTER ADDSLOTSRANGE 0 16383\r\n');
  await redis.service.printed(/Cluster state changed: ok/);
  return redis;
}

/** Starts a sentinel that calls the Redis on a port `name`. */
export async function startSentinel(t, name, primary) {
  return start(t, 'sentinel', /\+monitor master/, (folder, port) => {
    const file = path.join(folder, 'sentinel.conf');
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor ${name} 127.0.0.1 ${primary} 1`,
    ];
    fs.writeFileSync(file, `${lines.join('\n')}\n`);
    return [file, '--sentinel'];
  });
}

const PROGRAM = `
  import http from 'node:http';
  import { broadcastSteps, clusterCounts, disconnectUser, metrics, processes } from '@captify-io/hub';
  import { createWebSocketManager, publish, recheckAccess, registerHandler, renewSession, setAccess } from '@captify-io/hub';
  import { createHub } from '@captify-io/hub/server';
  const { users, ...options } = JSON.parse(process.argv[1]);
  let access = 'write';
  if (users) {
    const parameter = ({ url }, name) => new URL(url, 'http://localhost').searchParams.get(name);
    options.session = (request) => {
      return { id: parameter(request, 'user'), expiresAt: Date.now() + Number(parameter(request, 'forMs')) };
    };
    options.access = () => access;
  }
  const ignore = () => {};
  const onConnect = (ws) => ws.join('room');
  registerHandler({ path: '/ws/room', onConnect, onMessage: ignore, onClose: ignore, onError: ignore });
  const hub = createHub(options);
  const server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
  const answers = {
    broadcast: async ({ changeId }) => ({ count: await broadcastSteps('doc', [{ stepType: 'x' }], changeId) }),
    counts: async () => {
      const { documents, ...counts } = await clusterCounts();
      return { ...counts, documents: Object.fromEntries(documents), list: await processes() };
    },
    publish: async ({ text }) => ({ count: await publish('/ws/room', 'room', text) }),
    tell: async ({ message }) => ({ count: await createWebSocketManager().broadcast('/ws/room', message) }),
    stats: async () => ({ redis: hub.stats().redis }),
    metrics: async () => ({ families: metrics().filter(({ name }) => name.startsWith('hub_redis_')) }),
    forbid: async () => ({ access: (access = false) }),
    setAccess: async ({ userId, access }) => ({ count: await setAccess({ userId, documentId: 'doc' }, access) }),
    disconnectUser: async ({ userId }) => ({ count: await disconnectUser(userId) }),
    recheckAccess: async () => ({ count: await recheckAccess('doc') }),
    renewSession: async ({ userId, expiresAt }) => ({ count: await renewSession({ userId, expiresAt }) }),
  };
  process.on('message', async (question) => {
    process.send(await answers[question.ask](question).catch(({ code, message }) => ({ code, message })));
  });
`;

/** The secret that all processes of a test share. */
export const SECRET = 'a secret of 32 bytes or some more';

/** Starts a process with a hub over the Redis at `url`, which the environment names; without one it is in the options. */
export function startProcess(url, options = {}, program = PROGRAM) {
  const env = { ...(url && { HUB_REDIS_URL: url }), HUB_TOKEN_SECRET: SECRET };
  return startProgram('a hub', program, { env, args: [JSON.stringify({ logLevel: 'error', ...options })], ipc: true });
}

/** The same, once it listens: `{ service, base, ask }`. */
export async function startHub(t, url, options, program) {
  const service = startProcess(url, options, program);
  t.after(() => service.stop('SIGKILL'));
  const [, port] = await service.printed(/listening on (\d+)/);
  const ask = (question) => service.ask(question, () => true);
  return { service, base: `ws://127.0.0.1:${port}`, ask };
}
