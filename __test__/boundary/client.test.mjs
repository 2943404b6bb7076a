// The client that the package ships: how it connects, waits, comes back and stops. What it recovers is tested beside.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import test, { describe } from 'node:test';
import { minify } from 'terser';
import { FabricClient } from '../../js/client.js';
import { javascriptImports } from '../../scripts/imports.mjs';
import { CUTS } from '../support/chaos-proxy.mjs';
import { begin, greet, later, make, startActor, startHub, startProxy } from '../support/client-stage.mjs';
import { ROOT } from '../support/hub-server.mjs';
import { reachedFrom } from '../support/javascript-layers.mjs';
import { childEnvironment, run, until } from '../support/processes.mjs';

const MAX_BYTES = 4096;

describe('the client', () => {
  test('says that it is open, and brings and takes messages', async () => {
    const server = await startHub();
    const client = begin(server, { documentId: 'both' });
    assert.equal(client.status.state, 'connecting');
    await client.saw('connected');
    assert.deepEqual(client.status, { state: 'open', retryAt: null, code: 0, reason: '' });
    const other = await server.connect('both', 'other');
    assert.equal(client.send('steps', [{ stepType: 'replace' }], 4), true);
    const [steps] = await other.receivedAll('steps', 1);
    assert.deepEqual([steps.steps, steps.version], [[{ stepType: 'replace' }], 4]);
    for (const type of ['update', 'awareness', 'selection']) {
      client.send(type, { of: type });
      const [message] = await other.receivedAll(type, 1);
      assert.deepEqual(message[type], { of: type });
      other.send({ type, documentId: 'both', [type]: 'back' });
      const [back] = await client.received(type);
      assert.deepEqual([back[type], back.clientID], ['back', 'other']);
    }
    client.send('sync', 'AA==');
    await client.received('synced');
  });

  test('sends in their order what was sent before it was connected, and of what is true now the newest', async () => {
    const server = await startHub();
    const other = await server.connect('before', 'other');
    const client = make(server, { documentId: 'before' });
    for (let number = 0; number < 3; number += 1) {
      assert.equal(client.send('update', number), true);
      assert.equal(client.send('awareness', number), true);
      assert.equal(client.send('selection', number), true);
    }
    client.connect();
    await other.receivedAll('update', 3);
    await other.receivedAll('selection', 1);
    await other.receivedAll('awareness', 1);
    client.send('update', 'last');
    await other.receivedAll('update', 4);
    const told = other.messages.slice(1).map((message) => [message.type, message[message.type]]);
    assert.deepEqual(told, [
      ['update', 0],
      ['update', 1],
      ['update', 2],
      ['awareness', 2],
      ['selection', 2],
      ['update', 'last'],
    ]);
  });

  for (const how of CUTS) {
    test(`comes back by itself after ${how}`, async () => {
      const proxy = await startProxy(await startHub());
      const client = begin(proxy, { silenceMs: 50, answerTimeoutMs: 1500 });
      await client.saw('connected');
      for (let round = 1; round <= 3; round += 1) {
        const { connections } = proxy.done;
        proxy.cutAll(how);
        await until('the next connection', () => proxy.done.connections > connections);
        await client.is('open');
      }
      assert.equal(client.all('connected').length, 1, 'only the first connection is the first');
      assert.equal(client.all('recovered').length + client.all('reload').length, 3);
    });
  }

  test('gives up a server that takes the connection and says nothing', async () => {
    const silent = net.createServer(() => {});
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    later(() => silent.close());
    const client = begin(`ws://127.0.0.1:${silent.address().port}`, { answerTimeoutMs: 50, firstWaitMs: 100_000 });
    await client.is('waiting');
    assert.equal(client.status.reason, 'The hub does not answer');
  });

  test('leaves a connection that has much to say in peace, and asks one that is silent', async () => {
    let asked = 0;
    let talk;
    later(() => clearInterval(talk));
    const base = await startActor((socket) => {
      greet(socket);
      talk = setInterval(() => socket.send('{"type":"awareness"}'), 20);
      socket.on('message', () => {
        asked += 1;
        socket.send('{"type":"synced"}');
      });
    });
    const client = begin(base, { silenceMs: 500, answerTimeoutMs: 5000 });
    await client.received('awareness', 40);
    assert.equal(asked, 0);
    clearInterval(talk);
    await client.received('synced', 3);
    assert.equal(client.status.state, 'open');
  });

  test('comes back when the hub restarts, which closes it with 1012', async () => {
    const first = await startHub();
    const { port } = first;
    const proxy = await startProxy({ port });
    const client = begin(proxy);
    await client.saw('connected');
    await first.close();
    await client.is('waiting');
    assert.ok(client.all('status').some(({ code, state }) => code === 1012 && state === 'waiting'));
    proxy.hubPort = (await startHub()).port;
    await client.saw('reload');
    assert.equal(client.status.state, 'open');
  });

  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 4401, 4403, 4499]) {
    test(`stays closed after ${code}, and says so`, async () => {
      let connections = 0;
      const base = await startActor((socket) => {
        connections += 1;
        greet(socket);
        socket.close(code, 'because');
      });
      const client = begin(base, { firstWaitMs: 1, longestWaitMs: 1 });
      assert.deepEqual(await client.saw('closed'), { code, reason: 'because' });
      assert.deepEqual(client.status, { state: 'closed', retryAt: null, code, reason: 'because' });
      assert.equal(client.send('update', 1), false);
      assert.equal(connections, 1);
      client.connect();
      await client.saw('closed', 2);
      assert.equal(connections, 2, 'it comes back when it is told to');
    });
  }

  for (const code of [1001, 1011, 1012, 1013, 3000, 4000, 4409, 4500]) {
    test(`comes back after ${code}`, async () => {
      let connections = 0;
      const base = await startActor((socket) => {
        connections += 1;
        greet(socket);
        if (connections === 1) socket.close(code);
      });
      const client = begin(base);
      await client.saw('reload');
      assert.equal(connections, 2);
      assert.ok(client.all('status').some((status) => status.state === 'waiting' && status.code === code));
    });
  }

  /** The waits of a client that is closed with `code` so many times; nobody waits them out. */
  async function waits(code, count, options) {
    const base = await startActor((socket) => {
      greet(socket);
      socket.close(code);
    });
    const found = [];
    const client = make(base, { firstWaitMs: 1_000_000, longestWaitMs: 8_000_000, ...options });
    client.on('status', ({ state, retryAt }) => {
      if (state === 'waiting') found.push((retryAt - Date.now()) / 1_000_000);
    });
    for (let round = 1; round <= count; round += 1) {
      client.connect();
      await until('the wait', () => found.length >= round, { everyMs: 2 });
    }
    return found.slice(0, count).map((wait) => Math.round(wait * 10) / 10);
  }

  test('waits as long as the hub says that ends, and as ever where it says nothing of it', async () => {
    const reasons = [
      'Service restart; retry 1500000',
      'Service restart; retry 250000',
      'Service restart; retry soon',
      '',
    ];
    const base = await startActor((socket) => {
      greet(socket);
      socket.on('message', () => {});
      setImmediate(() => socket.close(1012, reasons.shift()));
    });
    const found = [];
    const client = make(base, { firstWaitMs: 1_000_000, longestWaitMs: 8_000_000, random: () => 1 });
    client.on('status', ({ state, retryAt }) => {
      if (state === 'waiting') found.push(Math.round((retryAt - Date.now()) / 1000));
    });
    for (let round = 1; round <= 4; round += 1) {
      client.connect();
      await until('the wait', () => found.length >= round, { everyMs: 2 });
    }
    // Seconds; the first hint has more than six digits.
    assert.deepEqual(found, [1000, 250, 2000, 4000]);
  });

  test('waits twice as long with every try, up to the longest, and anything between nothing and that', async () => {
    assert.deepEqual(await waits(1012, 6, { random: () => 1 }), [1, 2, 4, 8, 8, 8]);
    assert.deepEqual(await waits(1012, 6, { random: () => 0.5 }), [0.5, 1, 2, 4, 4, 4]);
    assert.deepEqual(await waits(1012, 3, { random: () => 0 }), [0, 0, 0]);
  });

  test('waits longer, and never for nothing, when it is told to come back later', async () => {
    assert.deepEqual(await waits(1013, 3, { random: () => 0 }), [2, 4, 4]);
    assert.deepEqual(await waits(1013, 3, { random: () => 1 }), [4, 8, 8]);
  });

  test('takes no more than may wait, and nothing longer than a message may be', async () => {
    const server = await startHub();
    const other = await server.connect('bounded', 'other');
    const client = make(server, { documentId: 'bounded', maxQueueBytes: 1000, maxMessageBytes: 500 });
    assert.equal(client.send('update', 'é'.repeat(250)), false, 'two bytes each');
    let taken = 0;
    while (client.send('update', 'x'.repeat(100))) taken += 1;
    assert.ok(taken > 3 && taken < 10, `${taken}`);
    assert.equal(client.unacknowledged, taken);
    assert.equal(client.send('awareness', 1), true, 'which takes the place of the one before');
    client.connect();
    await other.receivedAll('update', taken);
    await other.receivedAll('awareness', 1);
  });

  test('goes on when a listener throws or rejects, and the next listener hears it too', async (t) => {
    const logged = t.mock.method(console, 'error', () => {});
    const base = await startActor((socket) => {
      greet(socket);
      socket.send('{"type":"synced"}');
    });
    const client = make(base);
    const heard = [];
    for (const event of ['status', 'connected', 'message']) {
      client.on(event, () => {
        throw new Error(`${event} failed`);
      });
      client.on(event, async () => {
        throw new Error(`${event} rejected`);
      });
      client.on(event, () => heard.push(event));
    }
    client.connect();
    await until('all to be heard', () => heard.includes('message'));
    assert.deepEqual(heard, ['status', 'status', 'connected', 'message']);
    await until('all to be logged', () => logged.mock.callCount() === 8);
    assert.equal(client.status.state, 'open');
  });

  test('no listener hears anything after it was taken off, nor a client after it was closed', async () => {
    const base = await startActor((socket) => {
      greet(socket);
      for (let count = 0; count < 10; count += 1) socket.send('{"type":"synced"}');
    });
    const client = make(base);
    let heard = 0;
    const off = client.on('message', () => {
      heard += 1;
      off();
    });
    client.on('message', () => client.close());
    client.connect();
    await client.saw('closed');
    await new Promise((done) => setTimeout(done, 50));
    assert.equal(heard, 1);
    assert.equal(client.all('message').length, 1);
  });

  test('may be closed by every listener there is', async () => {
    const base = await startActor((socket) => {
      greet(socket);
      socket.send('{"type":"synced"}');
      socket.on('message', () => socket.close(1012));
    });
    for (const event of ['status', 'connected', 'message', 'closed']) {
      const client = make(base);
      client.on(event, () => client.close());
      client.connect();
      client.send('update', 1);
      if (event === 'closed') client.close();
      await client.saw('closed');
      assert.equal(client.status.state, 'closed', event);
      assert.equal(client.all('closed').length, 1, event);
    }
  });

  test('passes over what is no message of the hub', async () => {
    const base = await startActor((socket) => {
      greet(socket);
      for (const text of ['no JSON', 'null', '7', '[]', '"text"', '{}']) socket.send(text);
      socket.send(Buffer.from([1, 2, 3]));
      socket.send('{"type":"connected"}');
      socket.send('{"type":"reload"}');
      socket.send('{"type":"synced"}');
    });
    const client = begin(base);
    await client.received('synced');
    assert.equal(client.status.state, 'open');
    assert.deepEqual(client.all('reload'), [], 'nobody asked for it');
  });

  test('does not wait on when the network is back or the page is looked at again', async (t) => {
    const hints = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
    for (const name of ['addEventListener', 'removeEventListener']) globalThis[name] = hints[name].bind(hints);
    globalThis.document = document;
    t.after(() => {
      for (const name of ['addEventListener', 'removeEventListener', 'document']) delete globalThis[name];
    });
    let connections = 0;
    const base = await startActor((socket) => {
      connections += 1;
      greet(socket);
      if (connections < 3) socket.close(1012);
    });
    const client = begin(base, { firstWaitMs: 1_000_000, longestWaitMs: 1_000_000 });
    await client.is('waiting');
    document.dispatchEvent(new Event('visibilitychange'));
    assert.equal(client.status.state, 'waiting', 'nobody looks');
    document.visibilityState = 'visible';
    document.dispatchEvent(new Event('visibilitychange'));
    assert.equal(client.status.state, 'connecting');
    await client.is('waiting');
    hints.dispatchEvent(new Event('online'));
    await client.is('open');
    client.close();
    hints.dispatchEvent(new Event('online'));
    assert.equal(client.status.state, 'closed');
  });

  test('refuses options that are none, and says which', () => {
    const good = { url: 'ws://localhost', documentId: 'd', clientID: 'c', WebSocket: class {} };
    new FabricClient(good);
    for (const [name, value] of Object.entries({
      documentId: '',
      clientID: 7,
      url: '/ws/fabric',
      WebSocket: 'ws',
      random: 7,
      firstWaitMs: 0,
      longestWaitMs: Infinity,
      silenceMs: '20',
      maxQueueBytes: NaN,
      retries: 3,
    })) {
      const wrong = { code: 'HUB_INVALID_ARGUMENT', message: new RegExp(`option ${name} `) };
      assert.throws(() => new FabricClient({ ...good, [name]: value }), wrong);
    }
    const client = new FabricClient(good);
    assert.throws(() => client.send('connected', 1), { code: 'HUB_INVALID_ARGUMENT' });
    assert.throws(() => client.send('steps', []), { code: 'HUB_INVALID_ARGUMENT', message: /version/ });
  });

  test('works with the WebSocket of Node itself', { skip: !globalThis.WebSocket }, async () => {
    const server = await startHub();
    const proxy = await startProxy(server);
    const client = begin(proxy, { documentId: 'native', WebSocket: undefined });
    await client.saw('connected');
    proxy.cutAll('FIN');
    await until('the next connection', () => proxy.done.connections === 2);
    await client.is('open');
    const other = await server.connect('native', 'other');
    client.send('update', 1);
    await other.receivedAll('update', 1);
  });

  test('keeps no process alive once it is closed, whatever it was doing', async () => {
    const server = await startHub();
    const program = `
      import WebSocket from 'ws';
      import { FabricClient } from '@captify-io/hub/client';
      const client = (base, name) => new FabricClient({
        url: base + '/ws/fabric', documentId: 'exits', clientID: name, WebSocket, firstWaitMs: 1e6, longestWaitMs: 1e6,
      });
      const open = client('${server.base}', 'open');
      open.on('connected', () => {
        open.send('update', 1);
        open.close();
      });
      open.connect();
      const waiting = client('ws://127.0.0.1:1', 'waiting');
      waiting.on('status', ({ state }) => state === 'waiting' && waiting.close());
      waiting.connect();
      const connecting = client('${server.base}', 'connecting');
      connecting.connect();
      connecting.close();
      client('${server.base}', 'idle').send('update', 1);
    `;
    const args = ['--input-type=module', '--eval', program];
    await run('a program that closes its clients', process.execPath, args, {
      cwd: ROOT,
      env: childEnvironment(),
      timeoutMs: 20_000,
      quiet: true,
    });
  });

  test('is under 4 KB, minified and compressed', async (t) => {
    const { gzipSync } = await import('node:zlib');
    const shipped = path.join(ROOT, 'js');
    const imports = javascriptImports(shipped);
    const names = [...reachedFrom(imports, 'client.js')];
    assert.deepEqual(names, [
      'client.js',
      'client/options.js',
      'shared/errors.js',
      'client/queue.js',
      'client/reconnecting-socket.js',
    ]);
    const modules = await Promise.all(
      names.map(async (name) => {
        const source = await fs.readFile(path.join(shipped, name), 'utf8');
        return `modules['./${name}'] = function (module, require) {${source}};`;
      }),
    );
    const { code } = await minify(modules.join('\n'), { toplevel: true });
    const bytes = gzipSync(code, { level: 9 }).length;
    t.diagnostic(`${code.length} bytes minified, ${bytes} compressed`);
    assert.ok(bytes < MAX_BYTES, `${bytes}`);
  });
});
