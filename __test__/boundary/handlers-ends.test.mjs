// How connections that TypeScript serves come to their end, and how much may wait for either side.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { overEveryWay, HubServer, WAYS } from '../support/hub-server.mjs';
import { recordingHandler } from '../support/handlers.mjs';
import { until } from '../support/processes.mjs';
import { ending, startProgram } from '../support/programs.mjs';
import { frame, RawClient, TEXT } from '../support/raw-client.mjs';

const MIB = 1024 * 1024;

async function opened(server, target) {
  const client = server.open(target);
  await once(client.socket, 'open');
  return client;
}

/** A client whose kernel takes what it can and who reads none of it. */
async function silent(server, path) {
  const client = await server.raw();
  await client.upgrade(path);
  client.tcp.pause();
  client.socket.pause();
  return client;
}

overEveryWay((at) => {
  test('100 MB for a client that does not read: it is closed as slow, and the others do not notice', async () => {
    const results = [];
    const { path, called } = recordingHandler({
      onMessage: (ws, message) => {
        if (message !== 'flood') return ws.send(message);
        const megabyte = Buffer.alloc(MIB, 'x');
        for (let sent = 0; sent < 100; sent += 1) ws.send(megabyte, (error) => results.push(error?.message));
        assert.equal(ws.readyState, ws.CLOSING);
        assert.ok(ws.bufferedAmount < 20 * MIB, `${ws.bufferedAmount} bytes wait`);
        return undefined;
      },
    });
    const client = await silent(at.server, path);
    const other = await opened(at.server, path);
    client.write(frame(TEXT, 'flood'));
    await called('onMessage');
    other.socket.send('1');
    await other.received((message) => message === 1);
    client.drop();
    assert.deepEqual(await called('onClose'), [[1006, '']]);
    await until('every callback', () => results.length === 100);
    const refused = results.filter((message) => message === 'WebSocket is not open: readyState 2 (CLOSING)');
    assert.ok(refused.length > 50, `${refused.length} were told that it is closing`);
    assert.ok(
      results.every((message) => message),
      'none was told that it went well',
    );
  });

  test('flushed lets a producer go as fast as a client reads', async () => {
    let most = 0;
    const { path, called } = recordingHandler({
      onMessage: async (ws) => {
        for (let sent = 0; sent < 64; sent += 1) {
          ws.send(Buffer.alloc(MIB / 2, sent));
          most = Math.max(most, ws.bufferedAmount);
          assert.equal(await ws.flushed(MIB), true);
          assert.ok(ws.bufferedAmount <= MIB);
        }
        assert.equal(await ws.flushed(), true);
        assert.equal(ws.bufferedAmount, 0);
        ws.close(1000);
      },
    });
    const client = await opened(at.server, path);
    client.socket.send('1');
    await client.closing({ timeoutMs: 30_000 });
    assert.equal(client.messages.length, 64);
    client.messages.forEach((data, index) => assert.ok(data.length === MIB / 2 && data[data.length - 1] === index));
    assert.ok(most <= 1.5 * MIB + 100, `${most} bytes waited`);
    assert.deepEqual(await called('onClose'), [[1000, '']]);
  });

  test('flushed resolves with false when the connection ends first, and at once when it has', async () => {
    const outcomes = [];
    const { path, called, sockets } = recordingHandler({
      onMessage: async (ws) => {
        ws.send(Buffer.alloc(30 * MIB));
        outcomes.push(await ws.flushed(1000));
        outcomes.push(await ws.flushed(1000));
      },
    });
    const client = await silent(at.server, path);
    client.write(frame(TEXT, 'go'));
    await until('bytes that wait', () => sockets[0]?.bufferedAmount > 0);
    assert.deepEqual(outcomes, []);
    client.drop();
    await called('onClose');
    await until('both answers', () => outcomes.length === 2);
    assert.deepEqual(outcomes, [false, false]);
    await assert.rejects(sockets[0].flushed(-1), RangeError);
  });

  test('what is sent after the close goes nowhere, and only a callback hears of it', async () => {
    const { path, called, sockets } = recordingHandler();
    const client = await opened(at.server, path);
    await called('onConnect');
    const [ws] = sockets;
    ws.send('"before"');
    ws.close(4000);
    ws.send('"after"');
    const told = (send) => new Promise((resolve) => send(resolve));
    assert.equal((await told((done) => ws.send('x', done))).message, 'WebSocket is not open: readyState 2 (CLOSING)');
    await called('onClose');
    assert.equal(
      (await told((done) => ws.send('x', {}, done))).message,
      'WebSocket is not open: readyState 3 (CLOSED)',
    );
    assert.equal((await told((done) => ws.ping('x', done))).message, 'WebSocket is not open: readyState 3 (CLOSED)');
    ws.close(1000);
    ws.terminate();
    assert.deepEqual(client.texts, ['"before"']);
    assert.equal(ws.bufferedAmount, 0);
  });

  test('a callback is told when everything was written', async () => {
    const { path } = recordingHandler({
      onMessage: (ws) => ws.send(Buffer.alloc(8 * MIB), (error) => ws.send(JSON.stringify({ error: error ?? null }))),
    });
    const client = await opened(at.server, path);
    client.socket.send('1');
    assert.deepEqual(await client.received((message) => 'error' in message), { error: null });
    assert.equal(client.messages[0].length, 8 * MIB);
  });

  test('what ws refuses is refused in its words', async () => {
    const { path, called, sockets } = recordingHandler();
    await opened(at.server, path);
    await called('onConnect');
    const [ws] = sockets;
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, '1000']) {
      assert.throws(() => ws.close(code), {
        name: 'TypeError',
        message: 'First argument must be a valid error code number',
      });
    }
    assert.throws(() => ws.close(1000, 'é'.repeat(62)), RangeError);
    assert.throws(() => ws.ping('x'.repeat(126)), RangeError);
    assert.throws(() => ws.send({}), TypeError);
    assert.equal(ws.readyState, ws.OPEN);
    ws.close(4999, 'é'.repeat(61));
    assert.deepEqual(await called('onClose'), [[4999, 'é'.repeat(61)]]);
  });

  test('a handler that takes nothing holds its client back, and nothing is lost', async () => {
    let settle;
    const { path, of } = recordingHandler({
      onConnect: () => new Promise((resolve) => (settle = resolve)),
      onMessage: () => {},
    });
    const client = await opened(at.server, path);
    const count = 640;
    for (let sent = 0; sent < count; sent += 1) client.socket.send(`${sent}:${'x'.repeat(100_000)}`);
    // 64 MB: the kernel's buffers and the hub's bound take some of them, the rest stays with the client.
    const before = await until('the client to be held back', async () => {
      const amount = client.socket.bufferedAmount;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return amount > 0 && amount === client.socket.bufferedAmount ? amount : null;
    });
    assert.ok(before > 20 * MIB, `${before} bytes wait at the client`);
    settle();
    await until('every message', () => of('onMessage').length === count, { timeoutMs: 30_000 });
    of('onMessage').forEach(([message], index) => assert.ok(message.startsWith(`${index}:`) && message.length > 1e5));
  });
});

test('draining calls every onClose once, with 1012, and waits for what they do', async () => {
  for (const way of WAYS) {
    const server = await HubServer.start({ way });
    const done = [];
    const { path, called, of } = recordingHandler({
      onClose: async (ws, code) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        done.push(code);
      },
    });
    const stuck = recordingHandler({ onConnect: () => new Promise(() => {}) });
    await Promise.all([...Array(20)].map(() => opened(server, path)));
    await opened(server, stuck.path);
    await called('onConnect', 20);
    await stuck.called('onConnect');
    assert.deepEqual(await server.hub.close({ timeoutMs: 5000 }), { terminated: 0 });
    assert.deepEqual(done, Array(20).fill(1012), way);
    assert.equal(of('onClose').length, 20);
    const [opening, [name, code, reason]] = stuck.calls;
    assert.deepEqual([opening, name, code], [['onConnect'], 'onClose', 1012]);
    assert.match(reason, /^Service restart; retry \d+$/);
    await server.close();
  }
});

test('draining tells a handler of clients that had to be cut off, and waits no longer than it may', async () => {
  const server = await HubServer.start();
  const { path, called } = recordingHandler({ onClose: () => new Promise(() => {}) });
  const client = await server.raw();
  await client.upgrade(path);
  await called('onConnect');
  assert.deepEqual(await server.hub.close({ timeoutMs: 300 }), { terminated: 1 });
  assert.deepEqual(await called('onClose'), [[1006, '']]);
  await server.close();
});

test('a client that leaves while onConnect is pending: its messages are handed on, then onClose, once', async () => {
  const server = await HubServer.start();
  let settle;
  const states = [];
  const { path, calls, called } = recordingHandler({
    onConnect: (ws) => {
      ws.on('close', () => states.push(ws.readyState));
      return new Promise((resolve) => (settle = resolve));
    },
    onMessage: () => {},
  });
  const client = await opened(server, path);
  client.socket.send('1');
  client.socket.close(4004);
  await until("the 'close' event", () => states.length === 1);
  assert.deepEqual([states, calls], [[3], [['onConnect']]]);
  settle();
  await called('onClose');
  assert.deepEqual(calls, [['onConnect'], ['onMessage', '1'], ['onClose', 4004, '']]);
  await server.close();
});

/** A program with an echo handler behind a server on `port`. */
const PROGRAM = `
  import { HubServer } from './__test__/support/hub-server.mjs';
  import { registerHandler } from '@captify-io/hub';
  let open = 0;
  registerHandler({
    path: '/ws/echo',
    onConnect() { open += 1; },
    onMessage(ws, message) { ws.send(message); },
    onClose() { open -= 1; },
    onError() {},
  });
  const { hub, server, port } = await HubServer.start();
  console.log('listening on ' + port);
  const connected = async (count) => { while (open < count) await new Promise((done) => setTimeout(done, 5)); };
`;

/** Lets clients flood the program's handler until it has ended by itself. */
async function flooded(label, source, clients = 10) {
  const program = startProgram(label, PROGRAM + source);
  const raw = [];
  try {
    const [, port] = await program.printed(/listening on (\d+)/);
    for (let index = 0; index < clients; index += 1) {
      raw.push(await RawClient.connect({ port: Number(port) }));
      await raw[index].upgrade('/ws/echo');
    }
    const messages = Buffer.concat(Array.from({ length: 50 }, () => frame(TEXT, 'x'.repeat(100))));
    while (!program.ended) {
      for (const client of raw) client.write(messages);
      await new Promise((done) => setTimeout(done, 2));
    }
    return await ending(program);
  } finally {
    for (const client of raw) client.drop();
    program.child.kill('SIGKILL');
  }
}

function assertClean({ code, signal, output }, expected = 0) {
  assert.deepEqual({ code, signal }, { code: expected, signal: null }, output);
  assert.doesNotMatch(output, /panick|Segmentation|FATAL|unhandled|Error:/i);
}

test('open connections of a handler do not keep the process, whatever they send', async () => {
  // The bell may ring while the environment is torn down: that is what the flood is for.
  for (let round = 0; round < 3; round += 1) {
    assertClean(await flooded('a process with nothing left to do', 'await connected(10); server.close();'));
  }
});

test('process.exit in the middle of messages is clean', async () => {
  for (let round = 0; round < 3; round += 1) {
    const source = 'await connected(10); setTimeout(() => process.exit(7), 50 + Math.random() * 50);';
    assertClean(await flooded('a process that exits', source), 7);
  }
});

test('closing the hub in the middle of messages ends the process by itself', async () => {
  assertClean(
    await flooded('a hub that closes', 'await connected(10); server.close(); await hub.close({ timeoutMs: 300 });'),
  );
});
