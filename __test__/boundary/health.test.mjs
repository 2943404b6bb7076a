// Whether the process lives, whether more clients should be sent to it, and why not.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { health } from '../../js/index.js';
import { createHub } from '../../js/hub/hub.js';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { storePath } from '../support/text-documents.mjs';

const READY = { live: true, ready: true, reasons: [] };

const unready = (...reasons) => ({ live: true, ready: false, reasons });

test('without a hub the process lives and is not ready, which is no error', () => {
  assert.deepEqual(health(), unready('the hub has not started'));
});

test('a hub is ready from the start, and not while it ends', async () => {
  const server = await HubServer.start();
  assert.deepEqual(health(), READY);
  assert.deepEqual(server.hub.health(), READY);
  const client = await server.connect(uniqueId());
  const closing = server.hub.close();
  assert.deepEqual(health(), unready('the hub is ending'));
  await client.closing();
  await closing;
  assert.deepEqual(health(), unready('the hub has not started'));
  await server.close();
});

test('a server whose app has not registered its handlers is starting', async () => {
  const hub = createHub({ logLevel: 'off' }, () => new Promise(() => {}));
  assert.deepEqual(health(), unready('the server is starting'));
  hub.started();
  assert.deepEqual(health(), READY);
  await hub.close();
});

test('a hub with as many connections as there may be is not ready, and is again once one has left', async () => {
  const server = await HubServer.start({ limits: { connections: 2 } });
  const clients = [await server.connect(uniqueId()), await server.connect(uniqueId())];
  assert.deepEqual(health(), unready('there are as many connections as there may be: 2'));
  await clients[0].close();
  await until('it to be ready', () => health().ready);
  await server.close();
});

test('a hub whose store cannot be opened says which file and why', async (context) => {
  const store = await storePath(context);
  await fs.mkdir(path.dirname(store), { recursive: true });
  await fs.writeFile(store, 'this is no store');
  const server = await HubServer.start({ documents: { kind: 'steps', store } });
  context.after(() => server.close());
  const { live, ready, reasons } = await until('the store to fail', () => {
    const now = health();
    return now.reasons[0]?.includes('could not be opened') ? now : null;
  });
  assert.deepEqual([live, ready, reasons.length], [true, false, 1]);
  assert.ok(reasons[0].includes(store), reasons[0]);
});

test('a hub is not ready before its store is open, and is then', async (context) => {
  const store = await storePath(context);
  const server = await HubServer.start({ documents: { kind: 'steps', store } });
  context.after(() => server.close());
  const first = health();
  assert.ok(first.ready || /is being opened/.test(first.reasons[0]), `${first.reasons}`);
  await until('it to be ready', () => health().ready);
});
