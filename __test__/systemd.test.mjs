// The shipped units, as far as it goes without a systemd that runs: what systemd-analyze says of them, and what becomes of a
// server that is started and ended by what they say.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { findProgram } from '../scripts/system.mjs';
import { read } from './support/documents.mjs';
import { temporaryDirectory } from './support/fixture-apps.mjs';
import { freePorts } from './support/ports.mjs';
import { childEnvironment, progress, run, Service } from './support/processes.mjs';
import { SECRET, startRedis } from './support/redis.mjs';
import { makeStubApp } from './support/stub-app.mjs';

const UNITS = { one: 'captify.service', several: 'captify@.service' };

const textOf = (unit) => read('docs', 'operations', unit);

/** Every value of a key. */
const all = (unit, key) => [...textOf(unit).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value);

test('systemd-analyze has nothing to say about the units', (t) => {
  const program = findProgram('systemd-analyze');
  // No package of its own to bring: it is there where systemd is, and a container has none.
  if (!program) {
    progress('NOT TESTED: there is no systemd-analyze here to verify the units');
    return t.skip('no systemd-analyze');
  }
  const folder = temporaryDirectory('units');
  const said = (text, name) => {
    const file = path.join(folder, name);
    // Node may be elsewhere on this machine than on a server.
    fs.writeFileSync(file, text.replaceAll('/usr/bin/node', process.execPath));
    const { status, stdout, stderr } = spawnSync(program, ['verify', '--man=no', file], { encoding: 'utf8' });
    return { status, said: `${stdout}${stderr}`.trim() };
  };
  const nothing = { status: 0, said: '' };
  assert.deepEqual(said(textOf(UNITS.one), 'captify.service'), nothing);
  assert.deepEqual(said(textOf(UNITS.several), 'captify@3000.service'), nothing);
  const wrong = said(textOf(UNITS.one).replace('KillMode=mixed', 'KillMode=mixd'), 'wrong.service');
  assert.match(wrong.said, /kill mode/, 'systemd-analyze takes anything');
});

test('the units leave a server the time to end, and descriptors for its connections', () => {
  for (const unit of Object.values(UNITS)) {
    const [[seconds], [signal], [descriptors]] = ['TimeoutStopSec', 'KillSignal', 'LimitNOFILE'].map((key) =>
      all(unit, key),
    );
    assert.ok(Number(seconds) > 8, 'TimeoutStopSec must be above the 8 s of shutdownTimeoutMs');
    assert.equal(signal, 'SIGTERM');
    assert.ok(Number(descriptors) >= 65_536);
  }
  const [state] = all(UNITS.one, 'StateDirectory');
  assert.ok(all(UNITS.one, 'Environment').includes(`HUB_STATE_DIR=/var/lib/${state}`));
});

test(
  'a process by the unit for several is started when it serves, and ends cleanly',
  { timeout: 60_000 },
  async (t) => {
    const redis = await startRedis(t);
    const [port] = await freePorts(1);
    const filled = (value) => value.replaceAll('%i', String(port));
    const environment = all(UNITS.several, 'Environment').flatMap((value) => filled(value).split(' '));
    const ofFile = { HUB_REDIS_URL: redis.url, HUB_TOKEN_SECRET: SECRET, STUB_START_MS: '1000' };
    const env = childEnvironment({ ...Object.fromEntries(environment.map((pair) => pair.split('='))), ...ofFile });
    const [[, node, script]] = all(UNITS.several, 'ExecStart').map((value) => /^(\S+) (\S+)$/.exec(value));
    assert.match(node, /\/node$/);
    const [[, bash, waits]] = all(UNITS.several, 'ExecStartPost').map((value) => /^(\S+) -c '(.*)'$/.exec(value));

    const service = new Service(filled('captify@%i'), process.execPath, [script, '-H', '127.0.0.1'], {
      cwd: makeStubApp(),
      env,
    });
    t.after(() => service.stop('SIGKILL'));
    const waiting = (pid) =>
      run('what the start waits for', bash, ['-c', filled(waits)], { env: { ...env, MAINPID: pid } });
    await waiting(service.pid);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'page in production');
    assert.deepEqual(await service.stop(all(UNITS.several, 'KillSignal')[0]), { code: 0, signal: null });
    await assert.rejects(waiting(service.pid), 'nobody waits for a process that has ended');
  },
);
