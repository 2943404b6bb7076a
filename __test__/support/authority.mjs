// A server with documents of the kind `steps`: the authority in Node that the benchmark compares with, or the one of the
// module that AUTHORITY names. Such a module exports `start` and `startProcess` as this one does.
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createAuthority } from '../../bench/control/authority.mjs';
import { ROOT } from './hub-server.mjs';
import { childEnvironment, Service } from './processes.mjs';

const named = process.env.AUTHORITY && (await import(path.resolve(process.env.AUTHORITY)));

/**
 * In this process.
 *
 * @param {object} [options] `doc` that documents begin with, `keep` steps where there is `apply`, `isReader(clientID)`
 * @returns `{ port, base, tell(documentId, message), submit(documentId, batch), close() }`; `submit` resolves with
 *   `{ version }`, or with null where the version was another
 */
export async function start(options) {
  if (named) return named.start(options);
  const authority = createAuthority(options);
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
 * @returns `{ port, submit(documentId, batch), kill(), restart(), close() }`; `kill` is SIGKILL
 */
export async function startProcess() {
  if (named) return named.startProcess();
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-steps-'));
  const env = childEnvironment({ STEPS_LOG: path.join(directory, 'steps.log') });
  const script = path.join(ROOT, 'bench', 'control', 'steps.mjs');
  const handle = {
    async restart() {
      handle.service = new Service('the authority', process.execPath, [script], { env });
      const [, port] = await handle.service.printed(/listening on \S+:(\d+)/);
      handle.port = Number(port);
    },
    kill: () => handle.service.stop('SIGKILL'),
    submit: (documentId, batch) => submit(handle.port, documentId, batch),
    async close() {
      await handle.kill();
      await fs.rm(directory, { recursive: true, force: true });
    },
  };
  await handle.restart();
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
