// How a hub, and the process it lives in, comes to its end. Each in a process of its own.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { HubChild, overEveryWay, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { ending, runProgram, startProgram } from '../support/programs.mjs';
import { frame, RawClient, TEXT } from '../support/raw-client.mjs';

/** What every program below begins with: a server on `port`, and `settled`, which waits for what has no event. */
function begin(way = WAYS[0], options = '') {
  return `
    import { once } from 'node:events';
    import { readdirSync, readFileSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    import { getConnectionCount } from '@captify-io/hub';
    import { createHub } from '@captify-io/hub/server';
    import { HubServer } from './__test__/support/hub-server.mjs';
    const { hub, server, port } = await HubServer.start({ way: ${JSON.stringify(way)}, ${options} });
    const settled = async (look) => { while (!look()) await delay(10); };
    const threads = () => Number(/Threads:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const descriptors = () => readdirSync('/proc/self/fd').length;
    console.log('listening on ' + port);
  `;
}

const CLEAN = { code: 0, signal: null };

function assertEnded({ code, signal, output }, expected = CLEAN, printed) {
  assert.deepEqual({ code, signal }, expected, output);
  if (printed) assert.match(output, printed);
  assert.doesNotMatch(output, /panick|Segmentation|FATAL|unhandled|Error:/i);
}

/** Starts a program, and lets `visit` meet it over the wire while it runs. */
async function visited(label, way, source, visit, options) {
  const program = startProgram(label, source, options);
  const clients = [];
  try {
    const [, port] = await program.printed(/listening on (\d+)/);
    const connect = async (documentId, clientID) => {
      const client = await RawClient.connect({ port: Number(port), secure: way === 'TLS' });
      clients.push(client);
      await client.open(documentId, clientID);
      return client;
    };
    await visit({ program, connect });
    return await ending(program);
  } finally {
    for (const client of clients) client.drop();
    program.child.kill('SIGKILL');
  }
}

for (const way of WAYS) {
  describe(`over ${way}`, () => {
    test('the process ends by itself once the server and the hub are closed', async () => {
      const source = `${begin(way)}
        await settled(() => getConnectionCount('fabric') === 2);
        console.log(JSON.stringify(await hub.close()));
        server.close();
      `;
      const ended = await visited('a server that closes', way, source, async ({ connect }) => {
        const clients = [await connect('document', 'a'), await connect('document', 'b')];
        for (const client of clients) {
          const { payload } = await client.frameOf(8);
          assert.equal(payload.readUInt16BE(0), 1012);
          client.write(frame(8, payload));
          client.socket.end();
        }
      });
      assertEnded(ended, CLEAN, /\{"terminated":0\}/);
    });

    test('process.exit in the middle of traffic is clean', async () => {
      for (let round = 0; round < 3; round += 1) {
        const source = `${begin(way)}
          await settled(() => getConnectionCount('fabric') === 20);
          setTimeout(() => process.exit(7), 100 + Math.random() * 50);
        `;
        const ended = await visited('a server that exits', way, source, async ({ program, connect }) => {
          const clients = await Promise.all(Array.from({ length: 20 }, (_, index) => connect('document', `c${index}`)));
          const text = JSON.stringify({ type: 'update', documentId: 'document', update: 'x'.repeat(1000) });
          while (!program.ended) {
            for (const client of clients) client.write(frame(TEXT, text));
            await new Promise((done) => setTimeout(done, 2));
          }
        });
        assertEnded(ended, { code: 7, signal: null });
      }
    });

    test('process.exit while close is pending is clean', async () => {
      const source = `${begin(way)}
        await settled(() => getConnectionCount('fabric') === 1);
        hub.close({ timeoutMs: 60_000 }).then(() => console.log('too early'));
        setTimeout(() => process.exit(3), 200);
      `;
      const ended = await visited('a server that exits while it closes', way, source, async ({ connect }) => {
        await connect('document', 'stubborn');
      });
      assertEnded(ended, { code: 3, signal: null });
      assert.doesNotMatch(ended.output, /too early/);
    });

    test('a pending close keeps the process until it has its answer', async () => {
      const source = `${begin(way)}
        await settled(() => getConnectionCount('fabric') === 1);
        server.close();
        console.log(JSON.stringify(await hub.close({ timeoutMs: 300 })));
      `;
      const ended = await visited('a server that waits for close', way, source, async ({ connect }) => {
        const client = await connect('document', 'stubborn');
        await client.gone();
        client.socket.end();
      });
      assertEnded(ended, CLEAN, /\{"terminated":1\}/);
    });

    test('an unhandled error of the app ends the process as it would without a hub', async () => {
      const source = `${begin(way)}
        await settled(() => getConnectionCount('fabric') === 1);
        setTimeout(() => { throw new RangeError('of the app'); }, 10);
      `;
      const ended = await visited('a server that fails', way, source, async ({ connect }) => {
        await connect('document', 'a');
      });
      assert.deepEqual([ended.code, ended.signal], [1, null], ended.output);
      assert.match(ended.output, /RangeError: of the app/);
    });
  });
}

describe('a hub nobody closes', () => {
  test('does not keep a process whose server is closed', async () => {
    assertEnded(await runProgram('a server without connections', `${begin()} server.close();`));
    assertEnded(
      await runProgram(
        'a hub without a server',
        `
      import { createHub } from '@captify-io/hub/server';
      createHub();
    `,
      ),
    );
  });

  test('does not keep it with live connections either, which end with the process', async () => {
    const source = `${begin()}
      await settled(() => getConnectionCount('fabric') === 3);
      server.close();
      process.on('exit', () => console.log('had ' + getConnectionCount('fabric')));
    `;
    const ended = await visited('a server with connections', WAYS[0], source, async ({ connect }) => {
      const clients = await Promise.all(['a', 'b', 'c'].map((id) => connect('document', id)));
      await Promise.all(clients.map((client) => client.gone()));
    });
    assertEnded(ended, CLEAN, /had 3/);
  });

  test('lets the server close while its connections live on', async () => {
    const source = `${begin()}
      await settled(() => getConnectionCount('fabric') === 1);
      server.close(() => console.log('server closed with ' + getConnectionCount('fabric')));
      process.on('message', () => process.disconnect());
    `;
    const ended = await visited(
      'a server that closes first',
      WAYS[0],
      source,
      async ({ program, connect }) => {
        const client = await connect('document', 'a');
        await program.printed(/server closed with 1/);
        client.write(frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' })));
        assert.match((await client.frame()).payload.toString(), /"synced"/);
        program.child.send('go');
      },
      { ipc: true },
    );
    assertEnded(ended);
  });
});

describe('closing', () => {
  test('twice gives the same promise, and once more afterwards the same answer', async () => {
    assertEnded(
      await runProgram(
        'closing twice',
        `${begin()}
      const first = hub.close();
      const second = hub.close({ timeoutMs: 1 });
      console.log('same: ' + (first === second));
      console.log([await first, await second, await hub.close()].map((report) => report.terminated).join());
      server.close();
    `,
      ),
      CLEAN,
      /same: true\n0,0,0/,
    );
  });

  test('is not undone by using the hub afterwards', async () => {
    assertEnded(
      await runProgram(
        'use after close',
        `${begin()}
      import http from 'node:http';
      import { broadcastSteps } from '@captify-io/hub';
      await hub.close();
      console.log(hub.owns('/ws/fabric'), Array.isArray(hub.paths), getConnectionCount('fabric'));
      await broadcastSteps('document', [], 'change').catch((error) => console.log(error.code));
      hub.attach(server);
      const headers = {
        Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      };
      const [response] = await once(http.get({ port, path: '/ws/fabric?documentId=a&clientID=b', headers }), 'response');
      console.log(response.statusCode);
      response.resume();
      const next = createHub({ logLevel: 'off' });
      await hub.close();
      console.log(next.paths.join());
      await next.close();
      server.close();
    `,
      ),
      CLEAN,
      /true true 0\nHUB_NOT_RUNNING\n503\n\/ws\/fabric\n/,
    );
  });

  test('gives back threads and descriptors, fifty times over', async () => {
    const { output, ...ended } = await runProgram(
      'fifty hubs',
      `${begin()}
      await hub.close();
      server.close();
      const round = async () => { const next = createHub({ threads: 4 }); await next.close(); };
      for (let index = 0; index < 3; index += 1) await round();
      await delay(100);
      const before = [threads(), descriptors()];
      for (let index = 0; index < 50; index += 1) await round();
      await Promise.race([settled(() => threads() <= before[0] && descriptors() <= before[1]), delay(5000)]);
      console.log(JSON.stringify({ before, after: [threads(), descriptors()] }));
      process.exit();
    `,
    );
    assertEnded({ output, ...ended });
    const { before, after } = JSON.parse(/\{.*\}/.exec(output)[0]);
    assert.ok(after[0] <= before[0] && after[1] <= before[1], output);
  });

  test('survives garbage collection while it is pending', async () => {
    const source = `${begin()}
      import { setImmediate as turn } from 'node:timers/promises';
      await settled(() => getConnectionCount('fabric') === 1);
      server.close();
      let other = hub;
      const collect = setInterval(() => gc(), 5);
      const promise = (() => other.close({ timeoutMs: 300 }))();
      other = undefined;
      for (let index = 0; index < 20; index += 1) { gc(); await turn(); }
      console.log(JSON.stringify(await promise));
      clearInterval(collect);
    `;
    const options = { nodeArgs: ['--expose-gc'] };
    const ended = await visited(
      'garbage while closing',
      WAYS[0],
      source,
      async ({ connect }) => {
        await connect('document', 'stubborn');
      },
      options,
    );
    assertEnded(ended, CLEAN, /\{"terminated":1\}/);
  });

  test('is not forced by garbage collection: a hub without a reference runs on', async () => {
    const ended = await visited(
      'a forgotten hub',
      WAYS[0],
      `
      import http from 'node:http';
      import { getConnectionCount } from '@captify-io/hub';
      import { createHub } from '@captify-io/hub/server';
      const server = http.createServer();
      (() => createHub().attach(server))();
      const collect = setInterval(() => gc(), 5);
      server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
      process.on('message', () => {
        console.log('counted ' + getConnectionCount('document'));
        process.exit();
      });
    `,
      async ({ program, connect }) => {
        const client = await connect('document', 'a');
        for (let index = 0; index < 20; index += 1) {
          client.write(frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' })));
          assert.match((await client.frame()).payload.toString(), /"synced"/);
        }
        program.child.send('go');
      },
      { nodeArgs: ['--expose-gc'], ipc: true },
    );
    assertEnded(ended, CLEAN, /counted 1/);
  });
});

describe('a hub in a worker thread', () => {
  const worker = (body) => `
    import { Worker } from 'node:worker_threads';
    import { once } from 'node:events';
    import { readdirSync, readFileSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    import { getConnectionCount } from '@captify-io/hub';
    const threads = () => Number(/Threads:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const code = \`
      const { parentPort } = require('node:worker_threads');
      const http = require('node:http');
      const { getConnectionCount } = require('@captify-io/hub');
      const hub = require('@captify-io/hub/server').createHub({ threads: 4 });
      const server = http.createServer();
      hub.attach(server);
      server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
      parentPort.on('message', () => hub.close({ timeoutMs: 3000 }));
      setInterval(() => { if (getConnectionCount('fabric') === 1) parentPort.postMessage('connected'); }, 10);
    \`;
    const start = async () => {
      const started = new Worker(code, { eval: true, execArgv: [] });
      const [port] = await once(started, 'message');
      return { started, port };
    };
    ${body}
  `;

  test('ends when the thread is terminated, and the main thread lives on', async () => {
    const source = worker(`
      const { started, port } = await start();
      console.log('listening on ' + port);
      await once(started, 'message');
      console.log('main sees ' + getConnectionCount('fabric'));
      await started.terminate();
      console.log('terminated');
    `);
    const ended = await visited('a worker with a connection', WAYS[0], source, async ({ connect }) => {
      const client = await connect('document', 'a');
      await client.gone();
    });
    assertEnded(ended, CLEAN, /main sees 0\nterminated/);
  });

  test('may be terminated while its close is pending', async () => {
    const source = worker(`
      const { started, port } = await start();
      console.log('listening on ' + port);
      await once(started, 'message');
      started.postMessage('close');
      await delay(200);
      await started.terminate();
      await delay(4000);
      console.log('survived');
    `);
    const ended = await visited('a worker that closes', WAYS[0], source, async ({ connect }) => {
      await connect('document', 'stubborn');
    });
    assertEnded(ended, CLEAN, /survived/);
  });

  test('gives back its threads, ten times over', async () => {
    const ended = await runProgram(
      'ten workers',
      worker(`
      const round = async () => { const { started } = await start(); await started.terminate(); };
      await round();
      await delay(200);
      const before = threads();
      for (let index = 0; index < 10; index += 1) await round();
      for (let left = 100; left > 0 && threads() > before; left -= 1) await delay(50);
      console.log('threads: ' + before + ' ' + threads());
    `),
    );
    assertEnded(ended);
    const [, before, after] = /threads: (\d+) (\d+)/.exec(ended.output);
    assert.ok(Number(after) <= Number(before), ended.output);
  });
});

overEveryWay(
  (at) => {
    test('without a free descriptor an upgrade gets 503, and with one again it is served', async () => {
      const { server } = at;
      const honest = await server.connect('document', 'honest');
      // One, which Node's accept takes: there is none left for the hub.
      const opened = await server.exhaust(1);
      assert.ok(opened > 5, `there was nothing to exhaust: ${opened}`);
      for (let round = 0; round < 3; round += 1) {
        const raw = await server.raw();
        raw.write(
          'GET /ws/fabric?documentId=document&clientID=late HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n' +
            'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        );
        assert.equal((await raw.response()).status, 503);
        await raw.gone();
        raw.drop();
      }
      await honest.synced('document');
      await server.release();
      const late = await server.connect('document', 'late');
      late.send({ type: 'update', documentId: 'document', update: 1 });
      await honest.receivedAll('update', 1);
      await until('the count', async () => (await server.state()).fabric === 2);
    });
  },
  { Server: HubChild, descriptors: 200 },
);

test('a start that fails half-way leaves no thread behind', async () => {
  // Each thread needs some descriptors of its own, and there are enough for a few.
  const program = `
    import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    import { createHub } from '@captify-io/hub/server';
    const nameOf = (id) => {
      try {
        return readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim();
      } catch {
        return 'gone';
      }
    };
    const threads = () => readdirSync('/proc/self/task').map(nameOf).filter((name) => /^hub-[0-9]/.test(name));
    const hoard = [];
    try {
      for (;;) hoard.push(openSync('/dev/null'));
    } catch {
      for (const descriptor of hoard.splice(0, 20)) closeSync(descriptor);
    }
    try {
      createHub({ threads: 64, logLevel: 'off' });
      console.log('started');
    } catch (error) {
      console.log(error.code);
    }
    for (const descriptor of hoard.splice(0)) closeSync(descriptor);
    while (threads().length > 0) await delay(10);
    console.log('no thread is left');
  `;
  const { code, output } = await runProgram('a hub without descriptors', program);
  assert.deepEqual([code, output], [0, 'HUB_START_FAILED\nno thread is left\n']);
});
