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

const { platformName } = createRequire(import.meta.url)('../../js/native.js');
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
  { heartbeatIntervalMs: 100 },
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
