// How much clients may do. Each attacker has an honest client beside it, which notices nothing.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { createHub } from '../../js/server.js';
import { as, headerSession, outcome } from '../support/admission.mjs';
import { HubServer, overEveryWay, uniqueId, WAYS } from '../support/hub-server.mjs';
import { runProgram } from '../support/programs.mjs';
import { until } from '../support/processes.mjs';
import { CLOSE, fabricTarget, frame, PING, TEXT } from '../support/raw-client.mjs';

const message = (type, documentId, value) => frame(TEXT, JSON.stringify({ type, documentId, [type]: value }));
const awareness = (documentId, value) => message('awareness', documentId, value);
const update = (documentId, value) => message('update', documentId, value);

async function withHub(options, visit) {
  const events = [];
  const server = await HubServer.start({ onSecurityEvent: (event) => events.push(event), ...options });
  try {
    await visit(server, events);
  } finally {
    await server.close();
  }
}

/** Takes frames until the close frame: its code and reason, and the messages before it. */
async function untilClosed(client) {
  const messages = [];
  for (;;) {
    const { opcode, payload } = await client.frame();
    if (opcode === CLOSE) return { code: payload.readUInt16BE(0), reason: payload.toString('utf8', 2), messages };
    if (opcode === TEXT) messages.push(JSON.parse(payload));
  }
}

overEveryWay(
  (at) => {
    test('a client over its rate is told, held back, and loses nothing', async () => {
      const documentId = uniqueId();
      const [honest, eager] = [await at.server.connect(documentId), await at.server.connect(documentId)];
      const count = 150;
      for (let update = 0; update < count; update += 1) eager.send({ type: 'update', documentId, update });
      await honest.receivedAll('update', count);
      assert.deepEqual(
        honest.all('update').map(({ update }) => update),
        Array.from({ length: count }, (_, index) => index),
      );
      const told = await eager.received(({ code }) => code === 'RATE_LIMITED');
      assert.ok(told.retryInMs > 0, String(told.retryInMs));
      assert.deepEqual(honest.all('error'), []);
      await eager.synced(documentId);
    });

    test('a client that goes on is closed with 1013', async () => {
      const documentId = uniqueId();
      const honest = await at.server.connect(documentId);
      const attacker = await at.server.raw();
      await attacker.open(documentId, 'attacker');
      attacker.write(Buffer.concat(Array.from({ length: 5000 }, (_, index) => update(documentId, index))));
      const { code, reason, messages } = await untilClosed(attacker);
      assert.deepEqual([code, reason], [1013, 'Too much was sent']);
      assert.equal(messages[0].code, 'RATE_LIMITED');
      await honest.synced(documentId);
      assert.ok(honest.all('update').length < 5000);
    });

    test('a pointer is held to its pace and never closed, but for a flood that no pointer is', async () => {
      const documentId = uniqueId();
      const honest = await at.server.connect(documentId);
      const pointer = await at.server.raw();
      await pointer.open(documentId, 'pointer');
      pointer.write(Buffer.concat(Array.from({ length: 1500 }, (_, index) => awareness(documentId, index + 1))));
      await until('the newest to come', () => honest.all('awareness').at(-1)?.awareness === 1500);
      assert.ok(honest.all('awareness').length < 400);
      pointer.write(Buffer.concat(Array.from({ length: 60_000 }, (_, index) => awareness(documentId, index))));
      assert.equal((await untilClosed(pointer)).code, 1013);
    });

    test('pings count, as everything does that has to be read', async () => {
      const attacker = await at.server.raw();
      await attacker.open(uniqueId(), 'attacker');
      attacker.write(Buffer.concat(Array.from({ length: 5000 }, () => frame(PING))));
      assert.equal((await untilClosed(attacker)).code, 1013);
    });
  },
  { limits: { messagesPerSecond: 200, messageBurst: 100, patienceMs: 3000 } },
);

test('bytes count beside messages', async () => {
  await withHub({ limits: { bytesPerSecond: 200_000, byteBurst: 100_000 } }, async (server, events) => {
    const documentId = uniqueId();
    const [honest, eager] = [await server.connect(documentId), await server.connect(documentId)];
    for (let index = 0; index < 10; index += 1) eager.send({ type: 'update', documentId, update: 'x'.repeat(30_000) });
    await honest.receivedAll('update', 10);
    await eager.received(({ code }) => code === 'RATE_LIMITED');
    const event = await until('the event', () => events.find(({ code }) => code === 'RATE_LIMITED'));
    assert.equal(event.address, '127.0.0.1');
    assert.ok(server.hub.stats().events.RATE_LIMITED >= 1);
  });
});

test('a client that is held back is not taken for dead', async () => {
  // For two seconds, which is many times as long as anybody may be silent.
  const limits = { messagesPerSecond: 5, messageBurst: 5, patienceMs: 60_000 };
  await withHub({ limits, heartbeatIntervalMs: 300 }, async (server) => {
    const documentId = uniqueId();
    const eager = await server.connect(documentId);
    for (let update = 0; update < 15; update += 1) eager.send({ type: 'update', documentId, update });
    await eager.received(({ code }) => code === 'RATE_LIMITED');
    await eager.synced(documentId);
  });
});

test('the connections of one user share one rate, and another user has a rate of its own', async () => {
  const limits = { userMessagesPerSecond: 100, userMessageBurst: 50, patienceMs: 60_000 };
  await withHub({ limits, session: headerSession }, async (server) => {
    const documentId = uniqueId();
    const come = async (id) => (await outcome(server, as({ id }), fabricTarget(documentId, uniqueId()))).client;
    const tabs = [await come('anna'), await come('anna'), await come('anna')];
    const berta = await come('berta');
    for (const tab of tabs) for (let index = 0; index < 30; index += 1) tab.write(awareness(documentId, index));
    const told = await until('a tab to be told', async () => {
      for (const tab of tabs) {
        const { payload } = await tab.frame();
        const message = JSON.parse(payload);
        if (message.code) return message;
      }
      return null;
    });
    assert.equal(told.code, 'RATE_LIMITED');
    for (let index = 0; index < 30; index += 1) berta.write(awareness(documentId, index));
    berta.write(frame(TEXT, JSON.stringify({ type: 'sync', documentId })));
    for (;;) {
      const { type } = JSON.parse((await berta.frame()).payload);
      assert.notEqual(type, 'error');
      if (type === 'synced') break;
    }
  });
});

test('a user who leaves and comes back has no new burst, and another user has one', async () => {
  const limits = { userMessagesPerSecond: 1, userMessageBurst: 20, patienceMs: 600_000 };
  await withHub({ limits, session: headerSession }, async (server) => {
    const documentId = uniqueId();
    const come = async (id) => (await outcome(server, as({ id }), fabricTarget(documentId, uniqueId()))).client;
    const flood = (client, messages) => {
      for (let index = 0; index < messages; index += 1) client.write(awareness(documentId, index));
    };
    const heard = async (client) => JSON.parse((await client.frame()).payload);
    const anna = await come('anna');
    flood(anna, 21);
    assert.equal((await heard(anna)).code, 'RATE_LIMITED');
    anna.drop();
    await until('her to be gone', () => server.hub.stats().connections === 0);
    assert.equal(server.hub.stats().users, 0);
    // She would have to be away for ten seconds to have half of it again.
    const again = await come('anna');
    flood(again, 10);
    assert.equal((await heard(again)).code, 'RATE_LIMITED');
    again.drop();
    await until('her to be gone', () => server.hub.stats().connections === 0, { timeoutMs: 30_000 });
    const berta = await come('berta');
    flood(berta, 10);
    for (let index = 0; index < 2; index += 1) {
      berta.write(frame(TEXT, JSON.stringify({ type: 'sync', documentId })));
      assert.equal((await heard(berta)).type, 'synced');
    }
  });
});

describe('a cap', () => {
  const CASES = {
    connections: [{ connections: 3 }, 'Too many connections', 'LIMIT_CONNECTIONS'],
    connectionsPerUser: [{ connectionsPerUser: 3 }, 'Too many connections of this user', 'LIMIT_CONNECTIONS_PER_USER'],
    connectionsPerDocument: [
      { connectionsPerDocument: 3 },
      'Too many connections of this document',
      'LIMIT_CONNECTIONS_PER_DOCUMENT',
    ],
    connectionsPerAddress: [
      { connectionsPerAddress: 3 },
      'Too many connections from this address',
      'LIMIT_CONNECTIONS_PER_ADDRESS',
    ],
    documentsPerUser: [{ documentsPerUser: 3 }, 'Too many documents of this user', 'LIMIT_DOCUMENTS_PER_USER'],
  };
  for (const way of WAYS.slice(0, 2)) {
    for (const [name, [limits, reason, code]] of Object.entries(CASES)) {
      test(`of ${name} over ${way} closes the one that is too many with 1013, and has room again when another leaves`, async () => {
        await withHub({ way, limits, session: headerSession, trustProxy: 'loopback' }, async (server, events) => {
          const common = name === 'documentsPerUser' ? undefined : uniqueId();
          const come = () =>
            outcome(
              server,
              { ...as({ id: 'anna' }), 'X-Forwarded-For': '203.0.113.7' },
              fabricTarget(common ?? uniqueId()),
            );
          const inside = [await come(), await come(), await come()];
          assert.ok(inside.every(({ type }) => type === 'connected'));
          for (let index = 0; index < 3; index += 1) {
            const { client, ...refused } = await come();
            assert.deepEqual(refused, { code: 1013, reason });
            client.drop();
          }
          const event = await until('the event', () => events.find((one) => one.code === code));
          assert.equal(event.user, 'anna');
          inside[0].client.drop();
          await until('the place to be free', () => server.hub.stats().connections === 2);
          assert.equal((await come()).type, 'connected');
        });
      });
    }
  }

  test('of a user leaves every other user alone', async () => {
    await withHub({ limits: { connectionsPerUser: 1 }, session: headerSession }, async (server) => {
      for (const id of ['anna', 'berta', 'carl']) assert.equal((await outcome(server, as({ id }))).type, 'connected');
      assert.equal((await outcome(server, as({ id: 'anna' }))).code, 1013);
    });
  });

  test('of an address does not count a proxy, nor what a client writes into X-Forwarded-For', async () => {
    await withHub({ limits: { connectionsPerAddress: 1 } }, async (server) => {
      for (let index = 0; index < 5; index += 1) {
        assert.equal((await outcome(server, { 'X-Forwarded-For': '203.0.113.7' })).type, 'connected');
      }
    });
    await withHub({ limits: { connectionsPerAddress: 1 }, trustProxy: ['loopback', '10.0.0.0/8'] }, async (server) => {
      const from = (chain) => outcome(server, { 'X-Forwarded-For': chain });
      assert.equal((await from('203.0.113.7')).type, 'connected');
      assert.equal(
        (await from('198.51.100.1, 203.0.113.7')).code,
        1013,
        'what stands before the last is the client’s word',
      );
      assert.equal((await from('203.0.113.7, 10.0.0.1')).code, 1013, 'a trusted proxy in between');
      assert.equal((await from('203.0.113.8')).type, 'connected');
      assert.equal((await from('192.168.1.1')).type, 'connected');
      assert.equal((await from('192.168.1.1')).code, 1013, 'a private address that a proxy named');
      for (const junk of ['', 'junk', '1.2.3', ', ,', '203.0.113.7, junk', 'x'.repeat(4000)]) {
        assert.equal((await from(junk)).type, 'connected', junk);
      }
    });
  });
});

describe('limits', () => {
  test('that make no sense are refused by name', () => {
    const wrong = [
      { messages: 1 },
      { messagesPerSecond: 0 },
      { connections: -1 },
      { waiting: 1.5 },
      { byteBurst: '1' },
      { messageBurst: false },
      'off',
      null,
    ];
    for (const limits of wrong) {
      const message = typeof limits === 'object' && limits ? new RegExp(`limits.${Object.keys(limits)[0]}`) : /limits/;
      assert.throws(() => createHub({ logLevel: 'off', limits }), { code: 'HUB_INVALID_ARGUMENT', message });
    }
  });

  const program = (options) => `
    import { createHub } from '@captify-io/hub/server';
    const hub = createHub(${options});
    await hub.close();
  `;

  test('that are off are said to be, loudly in production, and so is a missing session', async () => {
    const said = async (options, env) => (await runProgram('a hub', program(options), { env })).output;
    assert.match(await said('{ limits: false }'), /\[hub\] warn: limits are off/);
    assert.match(await said('{}', { HUB_LIMITS: 'off' }), /\[hub\] warn: limits are off/);
    assert.match(await said('{ limits: false }', { NODE_ENV: 'production' }), /\[hub\] WARNING: limits are off/);
    assert.match(await said('{}', { NODE_ENV: 'production' }), /\[hub\] WARNING: no option session/);
    assert.doesNotMatch(await said('{}'), /limits/);
    assert.equal(await said('{ session: () => null }'), '');
  });

  test('that are off hold nobody back', async () => {
    await withHub({ limits: false }, async (server) => {
      const documentId = uniqueId();
      const [reader, eager] = [await server.connect(documentId), await server.connect(documentId)];
      for (let update = 0; update < 5000; update += 1) eager.send({ type: 'update', documentId, update });
      await reader.receivedAll('update', 5000);
      assert.deepEqual(eager.all('error'), []);
    });
  });
});
