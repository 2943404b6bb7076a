// Several copies of the package in one process, as a bundler or a second installation makes them.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { broadcastSteps, getConnectedDocuments } from '@captify-io/hub';
import { createHub } from '@captify-io/hub/server';
import { HubServer, ROOT, uniqueId } from '../support/hub-server.mjs';

const require = createRequire(import.meta.url);
const REFUSED = { name: 'HubError', code: 'HUB_INVALID_ARGUMENT', message: /close it first/ };

let server;
before(async () => (server = await HubServer.start()));
after(() => server.close());

/** A second copy of the JavaScript face, as a bundler or a second installation makes one. */
async function copyOfThePackage(t, change = async () => {}) {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-copy-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  await fs.cp(path.join(ROOT, 'js'), path.join(directory, 'js'), { recursive: true });
  await fs.cp(path.join(ROOT, 'package.json'), path.join(directory, 'package.json'));
  await change(directory);
  return {
    face: require(path.join(directory, 'js', 'index.js')),
    server: require(path.join(directory, 'js', 'server.js')),
  };
}

test('a second hub in the process is refused, by whichever copy of the package', async (t) => {
  const copy = await copyOfThePackage(t);
  assert.throws(() => createHub(), REFUSED);
  assert.throws(() => copy.server.createHub(), REFUSED);
});

test('another copy of the package reaches the same hub', async (t) => {
  const copy = await copyOfThePackage(t);
  assert.notEqual(copy.face.broadcastSteps, broadcastSteps);
  const documentId = uniqueId();
  const client = await server.connect(documentId);
  assert.equal(copy.face.getConnectionCount(documentId), 1);
  assert.deepEqual(copy.face.getConnectedDocuments(), getConnectedDocuments());
  assert.equal(await copy.face.broadcastSteps(documentId, [1], 'from the copy'), 1);
  assert.equal(copy.face.createWebSocketManager().getConnectionCount('/ws/fabric'), 1);
  await client.received((message) => message.changeId === 'from the copy');
  await client.close();
});

test('a copy of another registry version says so instead of finding no hub', async (t) => {
  const copy = await copyOfThePackage(t, async (directory) => {
    const file = path.join(directory, 'js', 'shared', 'global-hub.js');
    const source = await fs.readFile(file, 'utf8');
    await fs.writeFile(file, source.replace(/const VERSION = \d+;/, 'const VERSION = 1000;'));
  });
  await assert.rejects(copy.face.broadcastSteps('document', [], 'change'), {
    name: 'HubError',
    code: 'HUB_VERSION_MISMATCH',
    message: /@captify-io\/hub@3,.*@captify-io\/hub@1000/,
  });
  assert.equal(copy.face.getConnectionCount('fabric'), 0);
  assert.deepEqual(copy.face.getConnectedDocuments(), []);
});
