// A server with documents of the kind `steps`: the hub in a process of its own, or, where AUTHORITY is `control`, the authority
// in Node that the benchmark compares with.
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../../bench/control/authority.mjs';
import { ROOT } from './hub-server.mjs';
import { childEnvironment, Service } from './processes.mjs';
import { SECRET } from './redis.mjs';

const isControl = process.env.AUTHORITY === 'control';
const HUB = fileURLToPath(new URL('documents-child.mjs', import.meta.url));
const CONTROL = path.join(ROOT, 'bench', 'control', 'steps.mjs');

/**
 * @param {object} [options] `doc` that documents begin with, `keep` steps where there is `apply` (the control alone), `reader`:
 *   the client that may only read
 * @returns `{ port, base, submit(documentId, batch), close() }`; `submit` resolves with `{ version }`, or with null where the
 *   version was another
 */
export async function start(options = {}) {
  if (!isControl && options.keep === undefined) return startProcess(options);
  const authority = createAuthority({ ...options, isReader: (clientID) => clientID === options.reader });
  await once(authority.server.listen(0, '127.0.0.1'), 'listening');
  const { port } = authority.server.address();
  return {
    port,
    base: `ws://127.0.0.1:${port}`,
    tell: authority.tell,
    submit: (documentId, batch) => submit(port, documentId, batch),
    close: authority.close,
  };
}

/**
 * In a process that can be killed, and comes back on another port with everything that it had shown.
 *
 * @returns `{ port, base, submit(documentId, batch), kill(), restart(), close() }`; `kill` is SIGKILL
 */
export async function startProcess(options = {}) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-steps-'));
  const env = childEnvironment({ STEPS_LOG: path.join(folder, 'steps.log') });
  const script = isControl ? [CONTROL] : [HUB, JSON.stringify({ folder, ...options })];
  const handle = {
    async restart() {
      handle.service = new Service('the authority', process.execPath, script, { env });
      const [, port] = await handle.service.printed(/listening on \S+:(\d+)/);
      handle.port = Number(port);
      handle.base = `ws://127.0.0.1:${port}`;
    },
    /** The hub says by itself when something is saved. */
    tell: () => {},
    kill: () => handle.service.stop('SIGKILL'),
    submit: (documentId, batch) => submit(handle.port, documentId, batch),
    async close() {
      await handle.kill();
      await fs.rm(folder, { recursive: true, force: true });
    },
  };
  await handle.restart();
  return handle;
}

/**
 * Several processes over the Redis at `url`, as `startProcess` has one: who connects comes to each in turn, and each is killed
 * in turn.
 */
export async function startProcesses(url, count, options = {}) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-steps-'));
  const env = childEnvironment({ HUB_REDIS_URL: url, HUB_TOKEN_SECRET: SECRET });
  const processes = [];
  const start = async (place) => {
    const service = new Service(`process ${place}`, process.execPath, [HUB, JSON.stringify({ folder, ...options })], {
      env,
    });
    const [, port] = await service.printed(/listening on \S+:(\d+)/);
    processes[place] = { service, port: Number(port), isThere: true };
  };
  let asked = 0;
  let killed = -1;
  const handle = {
    processes,
    /** Of the next process that is there. */
    get port() {
      const there = processes.filter(({ isThere }) => isThere);
      asked += 1;
      return (there.length > 0 ? there : processes)[asked % (there.length || count)].port;
    },
    async kill() {
      killed = (killed + 1) % count;
      processes[killed].isThere = false;
      await processes[killed].service.stop('SIGKILL');
    },
    restart: () => start(killed),
    tell: () => {},
    submit: (documentId, batch) => submit(handle.port, documentId, batch),
    async close() {
      await Promise.all(processes.map(({ service }) => service.stop('SIGKILL')));
      await fs.rm(folder, { recursive: true, force: true });
    },
  };
  await Promise.all(Array.from({ length: count }, (_, place) => start(place)));
  return handle;
}

async function submit(port, documentId, batch) {
  const body = JSON.stringify({ documentId, ...batch });
  const answer = await fetch(`http://127.0.0.1:${port}/steps`, {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(10_000),
  });
  return answer.ok ? answer.json() : null;
}
