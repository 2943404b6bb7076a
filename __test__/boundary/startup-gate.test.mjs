// Upgrades that come before the app has registered its handlers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import test from 'node:test';
import { recordingHandler } from '../support/handlers.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { frame, RawClient, TEXT, upgradeRequest } from '../support/raw-client.mjs';

const { createHub } = createRequire(import.meta.url)('../../js/hub/hub.js');

/** A hub whose app has not registered its handlers, until `register` is called. */
async function starting(t, options = {}) {
  let register;
  let fail;
  const registered = new Promise((resolve, reject) => ([register, fail] = [resolve, reject]));
  const hub = createHub({ logLevel: 'off', ...options }, () => registered);
  const server = http.createServer();
  hub.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const clients = [];
  t.after(async () => {
    for (const client of clients) client.drop();
    await hub.close({ timeoutMs: 1000 });
    server.close();
  });
  const connections = () => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  const connect = async () => {
    const client = await RawClient.connect({ port: server.address().port });
    clients.push(client);
    return client;
  };
  /** A client whose upgrade waits. */
  const waiting = async (path) => {
    const seen = once(server, 'upgrade');
    const client = await connect();
    client.write(upgradeRequest(path));
    await seen;
    return client;
  };
  return { hub, server, register, fail, connect, waiting, connections };
}

test('an upgrade waits for the handler of its path, and loses no byte', async (t) => {
  const { server, register, connect } = await starting(t);
  const path = `/ws/${uniqueId('late')}`;
  const client = await connect();
  const seen = once(server, 'upgrade');
  client.write(Buffer.concat([Buffer.from(upgradeRequest(path)), frame(TEXT, 'with the request')]));
  await seen;
  for (const text of ['behind', 'it', 'x'.repeat(10_000)]) client.write(frame(TEXT, text));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { called } = recordingHandler({}, path);
  register();
  assert.equal((await client.response()).status, 101);
  const messages = await called('onMessage', 4);
  assert.deepEqual(messages.flat(), ['with the request', 'behind', 'it', 'x'.repeat(10_000)]);
});

test('a client that sends more than Node reads while it waits is held back and loses nothing', async (t) => {
  const { register, waiting } = await starting(t);
  const path = `/ws/${uniqueId('flood')}`;
  const client = await waiting(path);
  for (let sent = 0; sent < 100; sent += 1) client.write(frame(TEXT, `${sent}${'x'.repeat(99_998)}`));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const { called } = recordingHandler({ onMessage() {} }, path);
  register();
  const messages = await called('onMessage', 100);
  messages.forEach(([message], index) => assert.ok(message.startsWith(`${index}x`)));
});

test('an upgrade that waits for its handler and then for its session loses no byte', async (t) => {
  const asked = [];
  const session = () => new Promise((resolve) => asked.push(resolve));
  const { server, register, connect, connections } = await starting(t, { session });
  const path = `/ws/${uniqueId('twice')}`;
  const seen = once(server, 'upgrade');
  const [client, leaver] = [await connect(), await connect()];
  client.write(Buffer.concat([Buffer.from(upgradeRequest(path)), frame(TEXT, 'with the request')]));
  leaver.write(upgradeRequest(path));
  await seen;
  client.write(frame(TEXT, 'before the handler'));
  const { calls, called } = recordingHandler({}, path);
  register();
  await until('the question', () => asked.length === 2);
  client.write(frame(TEXT, 'x'.repeat(100_000)));
  leaver.reset();
  await until('the other to be gone', async () => (await connections()) === 1);
  for (const resolve of asked) resolve({ id: 'ann' });
  assert.equal((await client.response()).status, 101);
  const messages = await called('onMessage', 3);
  assert.deepEqual(messages.flat(), ['with the request', 'before the handler', 'x'.repeat(100_000)]);
  assert.equal(calls.filter(([name]) => name === 'onConnect').length, 1);
});

test('a client that leaves while it waits is forgotten', async (t) => {
  const { register, waiting, connections } = await starting(t);
  const { path, calls } = recordingHandler();
  const clients = [await waiting(path), await waiting(path)];
  clients[0].socket.end();
  clients[1].reset();
  await until('both to be gone', async () => (await connections()) === 0);
  const last = await waiting(path);
  register();
  assert.equal((await last.response()).status, 101);
  assert.equal(calls.filter(([name]) => name === 'onConnect').length, 1);
});

test('an upgrade that has waited long enough gets 503', async (t) => {
  const { waiting } = await starting(t, { registrationTimeoutMs: 100 });
  const client = await waiting('/ws/fabric');
  const { status, text } = await client.response();
  assert.deepEqual([status, text], [503, 'The server is starting.']);
  await client.gone();
});

test('closing the hub answers what waits with 503', async (t) => {
  const { hub, waiting } = await starting(t);
  const client = await waiting('/ws/fabric');
  await hub.close();
  const { status, text } = await client.response();
  assert.deepEqual([status, text], [503, 'The server is restarting.']);
});

test('an app whose registration fails serves nobody', async (t) => {
  const { fail, waiting } = await starting(t);
  const client = await waiting('/ws/fabric');
  fail(new Error('on purpose'));
  assert.equal((await client.response()).status, 503);
});

test('no more wait than may; one more gets 503 at once', async (t) => {
  const { server, connect } = await starting(t);
  let upgrades = 0;
  server.on('upgrade', () => (upgrades += 1));
  const clients = await Promise.all(Array.from({ length: 1030 }, connect));
  for (const client of clients) client.write(upgradeRequest('/ws/fabric'));
  await until('every upgrade', () => upgrades === clients.length);
  const refused = await until('those that were refused', () => {
    const ended = clients.filter((client) => client.ended);
    return ended.length >= 6 ? ended : null;
  });
  assert.equal(refused.length, 6);
  for (const client of refused) assert.equal((await client.response()).status, 503);
});
