// A planned restart: what the hub remembers goes from one process to the next, and nobody is told to reload.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test, { describe } from 'node:test';
import { broadcastPendingChange, submitSteps, submitUpdate } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { begin, later, startHub, startProxy } from '../support/client-stage.mjs';
import { temporaryDirectory } from '../support/fixture-apps.mjs';
import { HubServer } from '../support/hub-server.mjs';
import { freePorts } from '../support/ports.mjs';
import { makeStubApp, served, startStub } from '../support/stub-app.mjs';
import { App, apply, word } from '../support/text-documents.mjs';

/** A hub, behind a proxy, which is ended and started again with what `options` says. */
async function restarting(options) {
  const all = { stateDir: temporaryDirectory('state'), ...options };
  let server = await startHub(all);
  const proxy = await startProxy(server);
  const end = () => server.close();
  const start = async () => {
    server = await startHub(all);
    proxy.hubPort = server.port;
  };
  return { proxy, end, start };
}

describe('a client that comes back after a restart is recovered', () => {
  test('to a relay, with what was published meanwhile, and what it sends again is applied once', async () => {
    const { proxy, end, start } = await restarting();
    const [a, b] = ['a', 'b'].map((clientID) => begin(proxy, { documentId: 'relay', clientID }));
    for (const client of [a, b]) await client.saw('connected');
    for (let number = 1; number <= 5; number += 1) a.send('update', number);
    await b.received('update', 5);
    await end();
    // Nobody serves, and the app goes on.
    for (let number = 6; number <= 10; number += 1) a.send('update', number);
    await start();
    await broadcastPendingChange('relay', { number: 1 });
    for (const client of [a, b]) {
      await client.saw('recovered');
      await client.received('agent-change-pending');
      assert.deepEqual(client.all('reload'), []);
    }
    const updates = await b.received('update', 10);
    assert.deepEqual(
      updates.map(({ update }) => update),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
  });

  for (const store of ['documents.redb', false]) {
    const where = store ? 'on disk' : 'in the memory of the app alone';
    test(`to a document of kind steps, whose steps are ${where}`, async () => {
      const app = new App();
      const folder = temporaryDirectory('state');
      const documents = {
        kind: 'steps',
        store: store && path.join(folder, store),
        load: app.load,
        save: app.save,
        apply,
      };
      const { proxy, end, start } = await restarting({ stateDir: folder, documents });
      const [a, b] = ['a', 'b'].map((clientID) => begin(proxy, { documentId: 'steps', clientID }));
      for (const client of [a, b]) await client.saw('connected');
      a.submit('steps', { version: 0, steps: [word('one'), word('two')] });
      for (const client of [a, b]) await client.received('steps');
      await end();
      await start();
      for (const client of [a, b]) await client.saw('recovered');
      const { version } = await submitSteps('steps', { version: 2, steps: [word('three')], clientID: 'agent' });
      assert.equal(version, 3);
      for (const client of [a, b]) {
        const [first, second] = await client.received('steps', 2);
        assert.deepEqual([first.offset, second.offset], [1, 2], 'offsets go on');
        assert.deepEqual(client.all('reload'), []);
      }
    });
  }

  test('to a document that keeps its updates, which a newcomer is given whole', async () => {
    const documents = { kind: 'updates', store: path.join(temporaryDirectory('store'), 'documents.redb') };
    const { proxy, end, start } = await restarting({ documents });
    const [a, b] = ['a', 'b'].map((clientID) => begin(proxy, { documentId: 'updates', clientID }));
    for (const client of [a, b]) await client.saw('connected');
    for (const update of ['x', 'y']) a.send('update', update);
    await b.received('update', 2);
    await end();
    await start();
    for (const client of [a, b]) await client.saw('recovered');
    await submitUpdate('updates', 'z');
    assert.equal((await b.received('update', 3))[2].offset, 3);
    const c = begin(proxy, { documentId: 'updates', clientID: 'c' });
    await c.saw('connected');
    c.submit('sync');
    assert.deepEqual(
      (await c.received('update', 3)).map(({ update }) => update),
      ['x', 'y', 'z'],
    );
    // Who knows an offset of before is given what came behind it, its own too.
    a.submit('sync', { offset: 1 });
    await a.received('synced');
    assert.deepEqual(a.messages('state'), []);
    assert.deepEqual(
      a.messages('update').map(({ update }) => update), // prettier-ignore
      ['z', 'y', 'z'],
    );
  });
});

describe('who cannot be recovered is told to reload', () => {
  test('where a document has gone on elsewhere meanwhile', async () => {
    const app = new App();
    const store = path.join(temporaryDirectory('store'), 'documents.redb');
    const documents = { kind: 'steps', store, load: app.load, save: app.save, apply };
    const { proxy, end, start } = await restarting({ documents });
    const a = begin(proxy, { documentId: 'steps', clientID: 'a' });
    await a.saw('connected');
    a.submit('steps', { version: 0, steps: [word('one')] });
    await a.received('steps');
    await end();
    app.documents.set('steps', { version: 9, doc: { words: ['of somebody else'] } });
    await start();
    assert.equal((await a.saw('reload')).reason, 'OTHER_EPOCH');
  });

  test('where there is no folder, which is the default of createHub', async () => {
    const { proxy, end, start } = await restarting({ stateDir: undefined });
    const a = begin(proxy, { documentId: 'relay', clientID: 'a' });
    await a.saw('connected');
    await end();
    await start();
    assert.equal((await a.saw('reload')).reason, 'OTHER_EPOCH');
  });
});

test('a client of the package waits as long as it is told', async () => {
  const { proxy, end } = await restarting({ drainMs: 0 });
  const client = begin(proxy, { firstWaitMs: 1e9, longestWaitMs: 1e9 });
  await client.saw('connected');
  await end();
  const { retryAt } = client.all('status').find(({ code }) => code === 1012);
  const wait = retryAt - Date.now();
  assert.ok(wait < 2000, `${wait} ms`);
});

test('the folder may be named by the environment, and an option goes before it', async () => {
  const [named, given] = [temporaryDirectory('named'), temporaryDirectory('given')];
  process.env.HUB_STATE_DIR = named;
  later(() => delete process.env.HUB_STATE_DIR);
  for (const [options, used, unused] of [
    [{}, named, given],
    [{ stateDir: given }, given, named],
  ]) {
    // prettier-ignore
    const server = await HubServer.start(options);
    await server.close();
    assert.ok(fs.existsSync(path.join(used, 'rooms.state')));
    assert.ok(!fs.existsSync(path.join(unused, 'rooms.state')));
    fs.rmSync(path.join(used, 'rooms.state'));
  }
  process.env.HUB_STATE_DIR = 'off';
  const server = await HubServer.start();
  await server.close();
  assert.deepEqual(fs.readdirSync(named).sort(), ['rooms.key', 'rooms.lock']);
  assert.throws(() => createHub({ stateDir: '' }), { code: 'HUB_INVALID_ARGUMENT', message: /stateDir/ });
});

describe('a server', () => {
  const started = async (app, port) => {
    const service = startStub(app, { args: ['-H', '127.0.0.1'], env: { PORT: String(port) } });
    later(() => service.stop('SIGKILL'));
    await served(service);
    return service;
  };

  test('leaves in production what it remembers in .hub beside the app, whatever asks it to end', async () => {
    const app = makeStubApp();
    const [port] = await freePorts(1);
    let service = await started(app, port);
    const base = `ws://127.0.0.1:${port}`;
    const [a, b] = ['a', 'b'].map((clientID) => begin(base, { documentId: 'document', clientID }));
    for (const client of [a, b]) await client.saw('connected');
    for (const [round, signal] of ['SIGTERM', 'SIGHUP', 'SIGINT'].entries()) {
      a.send('update', round);
      service.child.kill(signal);
      assert.deepEqual(await service.exit, { code: 0, signal: null });
      assert.equal(fs.statSync(path.join(app, '.hub', 'rooms.state')).mode & 0o777, 0o600);
      service = await started(app, port);
      for (const client of [a, b]) await client.saw('recovered', round + 1);
      assert.ok(!fs.existsSync(path.join(app, '.hub', 'rooms.state')), 'it is taken once');
    }
    assert.deepEqual(
      (await b.received('update', 3)).map(({ update }) => update),
      [0, 1, 2],
    );
    assert.deepEqual([...a.all('reload'), ...b.all('reload')], []);
  });

  test('goes on to serve pages while it says goodbye to clients', async () => {
    const app = makeStubApp({ options: "{ hub: { logLevel: 'off', drainMs: 1500, limits: false } }" });
    const [port] = await freePorts(1);
    const service = await started(app, port);
    const clients = Array.from({ length: 800 }, (_, number) =>
      begin(`ws://127.0.0.1:${port}`, { documentId: `document-${number % 20}`, clientID: `client-${number}` }),
    );
    for (const client of clients) await client.saw('connected');
    service.child.kill('SIGTERM');
    await clients[0].is('waiting');
    const status = await new Promise((resolve, reject) => {
      http.get({ host: '127.0.0.1', port, agent: false }, ({ statusCode }) => resolve(statusCode)).on('error', reject);
    });
    assert.equal(status, 200);
    assert.deepEqual(await service.exit, { code: 0, signal: null });
    const waits = clients.map((client) => client.all('status').find(({ code }) => code === 1012).retryAt);
    const spread = Math.max(...waits) - Math.min(...waits);
    assert.ok(spread > 250, `they come back within ${spread} ms`);
  });
});
