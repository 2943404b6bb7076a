// The calls that route handlers and server.mjs use: what they answer, count and refuse.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import os from 'node:os';
import test, { after, before, describe } from 'node:test';
import * as face from '@captify-io/hub';
import * as serverFace from '@captify-io/hub/server';
import { HubServer, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { upgradeRequest } from '../support/raw-client.mjs';

const require = createRequire(import.meta.url);
const {
  broadcastAcceptedChange,
  broadcastPendingChange,
  broadcastRejectedChange,
  broadcastSteps,
  broadcastStepsToClient,
  createWebSocketManager,
  getConnectedDocuments,
  getConnectionCount,
} = face;
const { createHub } = serverFace;

/** Every call that sends something, with arguments that are right. */
const SENDING = {
  broadcastSteps: () => broadcastSteps('document', [], 'change'),
  broadcastStepsToClient: () => broadcastStepsToClient('document', 'client', [], 'change'),
  broadcastPendingChange: () => broadcastPendingChange('document', { id: 1 }),
  broadcastAcceptedChange: () => broadcastAcceptedChange('document', 'change', []),
  broadcastRejectedChange: () => broadcastRejectedChange('document', 'change'),
  "the manager's broadcast": () => createWebSocketManager().broadcast('/ws/fabric', 'text'),
};

function hubError(code, message = /./) {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, 'HubError');
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

async function eachRejects(code, message) {
  for (const [name, call] of Object.entries(SENDING)) {
    let promise;
    assert.doesNotThrow(() => (promise = call()), `${name} threw instead of rejecting`);
    await assert.rejects(promise, hubError(code, message), name);
  }
}

test('ES modules and CommonJS get the same functions', () => {
  for (const [name, namespace] of [
    ['@captify-io/hub', face],
    ['@captify-io/hub/server', serverFace],
  ]) {
    const required = require(name);
    assert.equal(namespace.default, required);
    for (const [key, value] of Object.entries(required)) assert.equal(namespace[key], value, key);
  }
  assert.deepEqual(Object.keys(require('@captify-io/hub')).sort(), [
    'broadcastAcceptedChange',
    'broadcastPendingChange',
    'broadcastRejectedChange',
    'broadcastSteps',
    'broadcastStepsToClient',
    'clusterCounts',
    'connections',
    'createAgentHandler',
    'createWebSocketManager',
    'disconnectConnection',
    'disconnectUser',
    'documents',
    'editDocument',
    'fabricHandler',
    'getConnectedDocuments',
    'getConnectionCount',
    'getDocument',
    'health',
    'inspectDocument',
    'metrics',
    'metricsText',
    'processes',
    'publish',
    'recheckAccess',
    'registerHandler',
    'registerHandlers',
    'registerMetrics',
    'renewSession',
    'saveDocument',
    'securityEvents',
    'setAccess',
    'submitSteps',
    'submitUpdate',
  ]);
  assert.deepEqual(Object.keys(require('@captify-io/hub/server')).sort(), ['authJs', 'createHub', 'startServer']);
});

describe('without a hub', () => {
  test('counts are 0 and lists are empty', () => {
    assert.equal(getConnectionCount('document'), 0);
    assert.equal(getConnectionCount('fabric'), 0);
    assert.deepEqual(getConnectedDocuments(), []);
    assert.equal(createWebSocketManager().getConnectionCount('/ws/fabric'), 0);
  });

  test('who asks for all processes is told that there is none', async () => {
    for (const ask of [face.clusterCounts, face.processes]) await assert.rejects(ask(), hubError('HUB_NOT_RUNNING'));
  });

  test('every broadcast rejects with HUB_NOT_RUNNING and says what to start', () =>
    eachRejects('HUB_NOT_RUNNING', /node server\.mjs/));

  test('a wrong argument is what is said first', async () => {
    await assert.rejects(broadcastSteps('document', 'no array', 'change'), hubError('HUB_INVALID_ARGUMENT'));
  });

  const badOptions = {
    threads: [0, 65, 1.5, '2', null, NaN, -1, 2n],
    maxMessageBytes: [0, 1023, 64 * 1024 * 1024 + 1, '1024', Infinity],
    maxOutboxBytes: [0, 65_535, 2 ** 32, {}],
    heartbeatIntervalMs: [-1, 1, 9, 0.5, '30s', 2 ** 32],
    maxDepth: [7, 0.5, '8', 2 ** 32],
    recoveryWindowMs: [-1, 1, 49, 86_400_001, '2m', Infinity],
    historyMaxMessages: [-1, 1.5, '1', 2 ** 32],
    historyMaxBytes: [-1, {}, 2 ** 32],
    historyTotalBytes: [-1, [], 2 ** 32],
    tokenSecret: ['', 'x'.repeat(31), 32, null, Buffer.alloc(32)],
    handOver: [0, 'true', null],
    logLevel: ['', 'WARN', 3, null],
    port: [3000],
  };
  for (const [name, values] of Object.entries(badOptions)) {
    test(`createHub refuses a bad ${name} and names it`, () => {
      for (const value of values) {
        assert.throws(
          () => createHub({ [name]: value }),
          hubError('HUB_INVALID_ARGUMENT', new RegExp(`\\b${name}\\b`)),
        );
      }
    });
  }

  test('createHub refuses options that are no object', () => {
    for (const options of [null, 1, 'x', true]) {
      assert.throws(() => createHub(options), hubError('HUB_INVALID_ARGUMENT', /options/));
    }
  });

  test('createHub takes every option at its limits', async () => {
    const least = {
      threads: 1,
      maxMessageBytes: 1024,
      maxOutboxBytes: 65_536,
      heartbeatIntervalMs: 0,
      maxDepth: 8,
      recoveryWindowMs: 0,
      historyMaxMessages: 0,
      historyMaxBytes: 0,
      historyTotalBytes: 0,
      handOver: false,
    };
    const most = {
      threads: 64,
      maxMessageBytes: 67_108_864,
      maxOutboxBytes: 2 ** 32 - 1,
      heartbeatIntervalMs: 2 ** 32 - 1,
      maxDepth: 2 ** 32 - 1,
      recoveryWindowMs: 86_400_000,
      historyMaxMessages: 2 ** 32 - 1,
      historyMaxBytes: 2 ** 32 - 1,
      historyTotalBytes: 2 ** 32 - 1,
      tokenSecret: 'é'.repeat(16),
    };
    for (const options of [least, most, { heartbeatIntervalMs: 10, logLevel: 'off', threads: undefined }, undefined]) {
      const hub = createHub(options);
      assert.deepEqual(hub.paths, ['/ws/fabric']);
      assert.deepEqual(await hub.close(), { terminated: 0 });
    }
  });
});

overEveryWay((at) => {
  test('broadcastSteps sends one message with an agent for each step and answers how many get it', async () => {
    const documentId = uniqueId();
    const clients = await Promise.all(['a', 'b', 'c'].map((id) => at.server.connect(documentId, id)));
    const steps = [{ stepType: 'replace', from: 1 }, { toJSON: () => ({ stepType: 'addMark' }) }];
    assert.equal(await broadcastSteps(documentId, steps, 'change-1'), 3);
    for (const client of clients) {
      assert.deepEqual(await client.received((message) => message.type === 'steps'), {
        type: 'steps',
        steps: [{ stepType: 'replace', from: 1 }, { stepType: 'addMark' }],
        clientIDs: ['agent', 'agent'],
        changeId: 'change-1',
        offset: 1,
      });
    }
    assert.equal(await broadcastSteps(documentId, [], 'change-2'), 3);
    assert.equal(await broadcastSteps(uniqueId(), [], 'change-3'), 0);
  });

  test('broadcastStepsToClient reaches every tab of that client and nobody else', async () => {
    const documentId = uniqueId();
    const [tab, sameTab, other] = await Promise.all(['a', 'a', 'b'].map((id) => at.server.connect(documentId, id)));
    assert.equal(await broadcastStepsToClient(documentId, 'a', [1], 'change'), 2);
    for (const client of [tab, sameTab]) {
      const message = await client.received((each) => each.type === 'steps');
      assert.deepEqual(message, { type: 'steps', steps: [1], clientIDs: ['agent'], changeId: 'change', offset: 1 });
    }
    await other.synced(documentId);
    assert.equal(other.all('steps').length, 0);
    assert.equal(await broadcastStepsToClient(documentId, 'nobody', [1], 'change'), 0);
    assert.equal(await broadcastStepsToClient(uniqueId(), 'a', [1], 'change'), 0);
  });

  test('the three calls of the older helper send their messages', async () => {
    const documentId = uniqueId();
    const client = await at.server.connect(documentId);
    assert.equal(await broadcastPendingChange(documentId, { id: 'x', by: null }), 1);
    assert.equal(await broadcastPendingChange(documentId, null), 1);
    assert.equal(await broadcastAcceptedChange(documentId, 'change', [{ from: 1 }]), 1);
    assert.equal(await broadcastRejectedChange(documentId, 'change'), 1);
    await client.received((message) => message.type === 'agent-change-rejected');
    assert.deepEqual(client.messages.slice(1), [
      { type: 'agent-change-pending', change: { id: 'x', by: null }, offset: 1 },
      { type: 'agent-change-pending', change: null, offset: 2 },
      { type: 'agent-change-accepted', changeId: 'change', steps: [{ from: 1 }], offset: 3 },
      { type: 'agent-change-rejected', changeId: 'change', offset: 4 },
    ]);
  });

  test('the manager counts and reaches an endpoint whatever the document', async () => {
    const manager = createWebSocketManager();
    const before = manager.getConnectionCount('/ws/fabric');
    const clients = await Promise.all([1, 2, 3].map(() => at.server.connect(uniqueId())));
    assert.equal(manager.getConnectionCount('/ws/fabric'), before + 3);
    assert.equal(manager.getConnectionCount('/ws/nothing'), 0);
    assert.equal(await manager.broadcast('/ws/fabric', '{"type":"notice","n":1.0}'), before + 3);
    assert.equal(await manager.broadcast('/ws/fabric', { type: 'notice', n: 2 }), before + 3);
    assert.equal(await manager.broadcast('/ws/nothing', 'x'), 0);
    for (const client of clients) {
      await client.receivedAll('notice', 2);
      assert.deepEqual(client.texts.slice(1), ['{"type":"notice","n":1.0}', '{"type":"notice","n":2}']);
    }
  });

  test('calls of one route handler arrive in the order they were made', async () => {
    const documentId = uniqueId();
    const client = await at.server.connect(documentId);
    const answers = Array.from({ length: 500 }, (_, index) => broadcastSteps(documentId, [index], String(index)));
    assert.deepEqual(await Promise.all(answers), Array(500).fill(1));
    const received = await client.receivedAll('steps', 500);
    assert.deepEqual(
      received.map((message) => message.changeId),
      received.map((_, index) => String(index)),
    );
  });

  test('counts are exact when the client has read its connected, and when it sees the close', async () => {
    const documentId = uniqueId();
    const total = getConnectionCount('fabric');
    for (let round = 0; round < 20; round += 1) {
      const query = new URLSearchParams({ documentId, clientID: `c${round}` });
      const { socket } = at.server.open(`/ws/fabric?${query}`);
      // Asked in the events themselves: nothing has time to catch up.
      const seen = [];
      const look = () =>
        seen.push([
          getConnectionCount(documentId),
          getConnectionCount('fabric') - total,
          getConnectionCount('/ws/fabric') - total,
          getConnectedDocuments().includes(documentId),
        ]);
      socket.once('message', () => {
        look();
        socket.close(1000);
      });
      socket.once('close', look);
      await once(socket, 'close');
      assert.deepEqual(seen, [
        [1, 1, 1, true],
        [0, 0, 0, false],
      ]);
    }
  });

  test('without a Redis the counts of all processes are those of this one', async () => {
    const documentId = uniqueId();
    const clients = [await at.server.connect(documentId, 'one'), await at.server.connect(documentId, 'two')];
    const { processes, connections, documents } = await face.clusterCounts();
    assert.deepEqual([processes, documents.get(documentId)], [1, 2]);
    const [own, ...others] = await face.processes();
    assert.deepEqual([own.pid, own.host, others], [process.pid, os.hostname(), []]);
    assert.deepEqual([own.connections, own.documents], [connections, documents.size]);
    assert.ok(own.since instanceof Date && own.since <= new Date());
    for (const client of clients) await client.close();
  });

  test('a count of many is exact, document by document', async () => {
    const documents = Array.from({ length: 10 }, () => uniqueId());
    const clients = await Promise.all(
      documents.flatMap((id, index) => Array.from({ length: index + 1 }, () => at.server.connect(id))),
    );
    assert.deepEqual(
      documents.map((id) => getConnectionCount(id)),
      documents.map((_, index) => index + 1),
    );
    const connected = getConnectedDocuments().filter((id) => documents.includes(id));
    assert.deepEqual(connected.sort(), [...documents].sort());
    await Promise.all(clients.map((client) => client.close()));
    assert.deepEqual(
      documents.map((id) => getConnectionCount(id)),
      documents.map(() => 0),
    );
  });
});

describe('with a hub', () => {
  let server;
  before(async () => (server = await HubServer.start()));
  after(() => server.close());

  const circular = {};
  circular.self = circular;
  const badCalls = {
    'broadcastSteps without documentId': [() => broadcastSteps(undefined, [], 'c'), /documentId/],
    'broadcastSteps with an empty documentId': [() => broadcastSteps('', [], 'c'), /documentId/],
    'broadcastSteps with a number for documentId': [() => broadcastSteps(7, [], 'c'), /documentId/],
    'broadcastSteps with steps that are no array': [() => broadcastSteps('d', { length: 0 }, 'c'), /steps/],
    'broadcastSteps without steps': [() => broadcastSteps('d', undefined, 'c'), /steps/],
    'broadcastSteps with a circular step': [() => broadcastSteps('d', [circular], 'c'), /steps/],
    'broadcastSteps with a BigInt': [() => broadcastSteps('d', [1n], 'c'), /steps/],
    'broadcastSteps with a toJSON that throws': [
      () =>
        broadcastSteps(
          'd',
          [
            {
              toJSON() {
                throw new Error('no JSON of me');
              },
            },
          ],
          'c',
        ),
      /steps.*no JSON of me/,
    ],
    'broadcastSteps without changeId': [() => broadcastSteps('d', []), /changeId/],
    'broadcastSteps with an empty changeId': [() => broadcastSteps('d', [], ''), /changeId/],
    'broadcastStepsToClient without clientID': [() => broadcastStepsToClient('d', undefined, [], 'c'), /clientID/],
    'broadcastStepsToClient with an empty clientID': [() => broadcastStepsToClient('d', '', [], 'c'), /clientID/],
    'broadcastStepsToClient without documentId': [() => broadcastStepsToClient(null, 'a', [], 'c'), /documentId/],
    'broadcastStepsToClient with bad steps': [() => broadcastStepsToClient('d', 'a', 'x', 'c'), /steps/],
    'broadcastStepsToClient without changeId': [() => broadcastStepsToClient('d', 'a', [], null), /changeId/],
    'broadcastPendingChange without documentId': [() => broadcastPendingChange('', {}), /documentId/],
    'broadcastPendingChange without change': [() => broadcastPendingChange('d'), /change/],
    'broadcastPendingChange with a circular change': [() => broadcastPendingChange('d', circular), /change/],
    'broadcastPendingChange with a function': [() => broadcastPendingChange('d', () => {}), /change/],
    'broadcastPendingChange with a symbol': [() => broadcastPendingChange('d', Symbol('x')), /change/],
    'broadcastAcceptedChange without documentId': [() => broadcastAcceptedChange({}, 'c', []), /documentId/],
    'broadcastAcceptedChange without changeId': [() => broadcastAcceptedChange('d', undefined, []), /changeId/],
    'broadcastAcceptedChange with bad steps': [() => broadcastAcceptedChange('d', 'c', null), /steps/],
    'broadcastRejectedChange without documentId': [() => broadcastRejectedChange(false, 'c'), /documentId/],
    'broadcastRejectedChange without changeId': [() => broadcastRejectedChange('d'), /changeId/],
    "the manager's broadcast without path": [() => createWebSocketManager().broadcast(undefined, 'x'), /path/],
    "the manager's broadcast without message": [() => createWebSocketManager().broadcast('/ws/fabric'), /message/],
    "the manager's broadcast with a BigInt": [() => createWebSocketManager().broadcast('/ws/fabric', 1n), /message/],
  };
  for (const [what, [call, message]] of Object.entries(badCalls)) {
    test(`${what} rejects with HUB_INVALID_ARGUMENT`, async () => {
      let promise;
      assert.doesNotThrow(() => (promise = call()));
      await assert.rejects(promise, hubError('HUB_INVALID_ARGUMENT', message));
    });
  }

  test('counting takes whatever it is given', () => {
    const throws = { toString: () => assert.fail('was made a text') };
    const odds = [
      undefined,
      null,
      7,
      {},
      '',
      'a\0b',
      'x'.repeat(5000),
      '\ud800',
      Symbol('x'),
      Object.create(null),
      throws,
    ];
    for (const odd of [...odds, ['fabric'], new String('fabric')]) {
      assert.equal(getConnectionCount(odd), 0);
      assert.equal(createWebSocketManager().getConnectionCount(odd), 0);
    }
  });

  test("owns says which upgrades are the hub's", () => {
    const { hub } = server;
    for (const url of ['/ws', '/ws/', '/ws?x', '/ws/fabric?a=b', '/ws/a/b', '/ws#x'])
      assert.equal(hub.owns(url), true, url);
    const others = [
      '/',
      '',
      undefined,
      '/wsx',
      '/WS/fabric',
      '/_next/webpack-hmr',
      '/a/ws/fabric',
      '//ws',
      'http://host/ws',
    ];
    for (const url of others) assert.equal(hub.owns(url), false, String(url));
  });

  test('close refuses a bad timeoutMs and goes on running', async () => {
    for (const timeoutMs of [-1, 1.5, NaN, '5', null, 2 ** 32]) {
      await assert.rejects(server.hub.close({ timeoutMs }), hubError('HUB_INVALID_ARGUMENT', /timeoutMs/));
    }
    const client = await server.connect(uniqueId());
    await client.close();
  });

  test('a detached server gives the hub no upgrade any more', async () => {
    const detach = server.hub.attach(server.server);
    detach();
    const client = await server.connect(uniqueId());
    await client.close();
  });
});

overEveryWay((at) => {
  test('while it closes the hub takes nothing new, and afterwards it is not running', async () => {
    const { hub } = at.server;
    const documentId = uniqueId();
    const client = await at.server.connect(documentId);
    const stubborn = await at.server.raw();
    await stubborn.open(documentId, 'answers no close frame');
    const early = await at.server.raw();
    const closing = hub.close({ timeoutMs: 1000 });
    assert.equal((await client.closing()).code, 1012);
    await eachRejects('HUB_CLOSED');
    early.write(upgradeRequest('/ws/fabric?documentId=a&clientID=b'));
    assert.equal((await early.response()).status, 503);
    const { code, reason } = await stubborn.closeFrame();
    assert.equal(code, 1012);
    assert.match(reason, /^Service restart; retry \d+$/);
    assert.deepEqual(await closing, { terminated: 1 });
    await stubborn.gone();
    assert.equal(getConnectionCount(documentId), 0);
    assert.deepEqual(getConnectedDocuments(), []);
    await eachRejects('HUB_NOT_RUNNING');
  });

  test('what was broadcast before close still arrives, and then 1012', async () => {
    const fresh = await HubServer.start({ way: at.way });
    try {
      const documentId = uniqueId();
      const client = await fresh.connect(documentId);
      for (let index = 0; index < 50; index += 1) await broadcastSteps(documentId, ['x'.repeat(50_000)], String(index));
      const closing = fresh.hub.close();
      assert.equal((await client.closing()).code, 1012);
      assert.equal(client.all('steps').length, 50);
      assert.deepEqual(await closing, { terminated: 0 });
    } finally {
      await fresh.close();
    }
  });
});
