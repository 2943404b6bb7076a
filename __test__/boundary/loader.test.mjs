// A missing or wrong binary gives one error that says what to do; and dead peers are found by the heartbeat.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { getConnectionCount } from '../../js/index.js';
import { HubServer, overEveryWay, ROOT, uniqueId, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { runProgram } from '../support/programs.mjs';
import { frame, PING, PONG } from '../support/raw-client.mjs';

const { platformName } = createRequire(import.meta.url)('../../js/hub/native.js');
const { loadFailure, neededGlibc, presentGlibc } = createRequire(import.meta.url)('../../js/hub/load-failure.js');
const { version } = createRequire(import.meta.url)('../../package.json');

/** Tries to make a hub in a process of its own; resolves with the error's code and message. */
async function failure(HUB_NATIVE_PATH, from = '@captify-io/hub/server') {
  const { code, output } = await runProgram(
    'a hub with another binary',
    `
    import server from ${JSON.stringify(from)};
    import face from '@captify-io/hub';
    face.getConnectionCount('fabric');
    try {
      server.createHub();
      console.log(JSON.stringify({ code: 'none' }));
    } catch (error) {
      console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message }));
    }
    process.exit();
  `,
    { env: { HUB_NATIVE_PATH } },
  );
  assert.equal(code, 0, output);
  return JSON.parse(output);
}

async function temporary(t) {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-loader-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  return directory;
}

async function copyOfThePackage(t, described = {}) {
  const directory = await temporary(t);
  const manifest = JSON.parse(await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'));
  await fs.cp(path.join(ROOT, 'js'), path.join(directory, 'js'), { recursive: true });
  await fs.writeFile(path.join(directory, 'package.json'), JSON.stringify({ ...manifest, ...described }));
  return directory;
}

const BUILD = /npx captify-hub build/;

test('HUB_NATIVE_PATH to nothing gives HUB_BINARY_MISSING with the platform, the path and the command', async () => {
  const { name, code, message } = await failure('/nowhere/hub.node');
  assert.deepEqual([name, code], ['HubError', 'HUB_BINARY_MISSING']);
  assert.ok(message.includes(platformName()) && message.includes('/nowhere/hub.node'), message);
  assert.match(message, BUILD);
});

test('a package without a binary for this platform gives HUB_BINARY_MISSING', async (t) => {
  const directory = await copyOfThePackage(t);
  const { code, message } = await failure(undefined, path.join(directory, 'js', 'server.js'));
  assert.equal(code, 'HUB_BINARY_MISSING');
  assert.ok(message.includes(path.join(directory, 'prebuilds', platformName(), 'hub.node')), message);
  assert.match(message, BUILD);
});

test('HUB_NATIVE_PATH to a file that is no binary gives HUB_BINARY_INVALID', async (t) => {
  const file = path.join(await temporary(t), 'hub.node');
  await fs.writeFile(file, 'this is a text\n');
  const { name, code, message } = await failure(file);
  assert.deepEqual([name, code], ['HubError', 'HUB_BINARY_INVALID']);
  assert.ok(message.includes(platformName()) && message.includes(file), message);
  assert.match(message, BUILD);
});

test('HUB_NATIVE_PATH to an empty file, a directory or a module that is not the hub gives HUB_BINARY_INVALID', async (t) => {
  const directory = await temporary(t);
  const empty = path.join(directory, 'empty.node');
  await fs.writeFile(empty, '');
  const other = path.join(directory, 'other.js');
  await fs.writeFile(other, 'module.exports = {};\n');
  for (const file of [empty, other, directory]) assert.equal((await failure(file)).code, 'HUB_BINARY_INVALID', file);
});

test('a binary of another version gives HUB_BINARY_INVALID and names both versions', async (t) => {
  const directory = await copyOfThePackage(t, { version: '99.0.0' });
  const binary = process.env.HUB_NATIVE_PATH ?? path.join(ROOT, 'prebuilds', platformName(), 'hub.node');
  const { code, message } = await failure(binary, path.join(directory, 'js', 'server.js'));
  assert.equal(code, 'HUB_BINARY_INVALID');
  assert.ok(message.includes('99.0.0') && message.includes(version), message);
});

const isGlibc = process.platform === 'linux' && !platformName().endsWith('-musl');

test('a binary for a newer glibc says which it needs and which there is', { skip: !isGlibc }, async (t) => {
  const file = path.join(await temporary(t), 'hub.node');
  const binary = process.env.HUB_NATIVE_PATH ?? path.join(ROOT, 'prebuilds', platformName(), 'hub.node');
  const needed = neededGlibc(binary);
  assert.match(needed, /^2\.\d\d$/);
  // Names stay as long as they were, so the file is whole; only what it asks for is not to be had.
  const text = await fs.readFile(binary, 'latin1');
  await fs.writeFile(file, text.replaceAll(`GLIBC_${needed}`, 'GLIBC_2.98'), 'latin1');
  const { code, message } = await failure(file);
  assert.equal(code, 'HUB_BINARY_INVALID');
  assert.ok(message.includes(`needs glibc 2.98 or newer, and this system has ${presentGlibc()}`), message);
  assert.match(message, BUILD);
});

test('what a loader says is told as what is missing and what to do', () => {
  const said = (text) => loadFailure(new Error(text), '/nowhere/hub.node');
  const glibc = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app/hub.node)";
  assert.match(said(glibc), /needs glibc 2\.34 or newer, and this system('s is older| has 2\.\d+)/);
  const onMusl =
    'Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by /app/hub.node)';
  assert.match(said(onMusl), /is for glibc/);
  assert.match(said('Error relocating /app/hub.node: gnu_get_libc_version: symbol not found'), /is for glibc/);
  const library = /the library libgcc_s\.so\.1 is missing on this system\. Install it/;
  assert.match(said('libgcc_s.so.1: cannot open shared object file: No such file or directory'), library);
  assert.match(said('Error loading shared library libgcc_s.so.1: No such file or directory (needed by /a)'), library);
  assert.match(said('/app/hub.node: failed to map segment from shared object'), /noexec/);
  assert.match(said('/app/hub.node: wrong ELF class: ELFCLASS32'), /no binary for this platform/);
  for (const text of [glibc, onMusl, 'nobody has met this']) assert.ok(said(text).includes(text), text);
  assert.match(said('nobody has met this'), BUILD);
});

test('the platform is found out without a report, which would look up names for every open socket', async () => {
  const { code, output } = await runProgram(
    'a hub where a report may not be made',
    `
    process.report.getReport = () => { throw new Error('a report was made'); };
    const { createHub } = await import('@captify-io/hub/server');
    console.log(await createHub({ logLevel: 'off' }).close());
  `,
  );
  assert.deepEqual([code, output.trim()], [0, '{ terminated: 0 }']);
});

test('a package without jose says so when a session is prepared for, and ends nothing before', async (t) => {
  const directory = await copyOfThePackage(t);
  const { code, output } = await runProgram(
    'an app whose install left jose out',
    `
    import server from ${JSON.stringify(path.join(directory, 'js', 'server.js'))};
    const session = server.authJs({ secret: 'the secret of the app' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log(session.check({ headers: {} }).reason);
    await session.prepare().catch(({ code, message }) => console.log(code, message.includes('jose')));
  `,
  );
  assert.deepEqual([code, output], [0, 'missing\nERR_MODULE_NOT_FOUND true\n']);
});

test('importing both entry points needs no binary', async () => {
  const { code, output } = await runProgram(
    'an import',
    `
    import '@captify-io/hub';
    import '@captify-io/hub/server';
    console.log('imported');
  `,
    { env: { HUB_NATIVE_PATH: '/nowhere/hub.node' } },
  );
  assert.deepEqual([code, output], [0, 'imported\n']);
});

overEveryWay(
  (at) => {
    test('a client that answers no ping is cut off and leaves the counts, and one that answers stays', async () => {
      const documentId = uniqueId();
      const honest = await at.server.connect(documentId, 'honest');
      const silent = await at.server.raw();
      await silent.open(documentId, 'silent');
      assert.equal(getConnectionCount(documentId), 2);
      await silent.frameOf(PING);
      await silent.gone();
      await until('the count to fall', () => getConnectionCount(documentId) === 1);
      let pings = 0;
      honest.socket.on('ping', () => (pings += 1));
      await until('more pings', () => pings >= 5);
      assert.equal(honest.closed, null);
      silent.drop();
    });

    test('a client that answers by hand, or sends anything at all, stays', async () => {
      const documentId = uniqueId();
      const raw = await at.server.raw();
      await raw.open(documentId, 'by hand');
      for (let count = 0; count < 6; count += 1) {
        const { payload } = await raw.frameOf(PING);
        raw.write(frame(count % 2 ? PING : PONG, payload));
      }
      assert.equal(getConnectionCount(documentId), 1);
      raw.drop();
      await until('the count to fall', () => getConnectionCount(documentId) === 0);
    });
  },
  // So long that a client of a machine that is busy has answered.
  { heartbeatIntervalMs: 500 },
);

for (const way of WAYS) {
  test(`heartbeatIntervalMs 0 pings nobody over ${way}`, async () => {
    const server = await HubServer.start({ way, heartbeatIntervalMs: 0 });
    try {
      const documentId = uniqueId();
      const raw = await server.raw();
      await raw.open(documentId);
      await new Promise((done) => setTimeout(done, 500));
      raw.write(frame(PING, 'mine'));
      assert.equal((await raw.frame()).opcode, PONG);
    } finally {
      await server.close();
    }
  });
}
