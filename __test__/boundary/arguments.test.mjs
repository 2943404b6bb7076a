// What the calls of route handlers are given: each value is sent as it is, or refused by name; none becomes another.
import assert from 'node:assert/strict';
import { createContext, runInContext } from 'node:vm';
import test, { after, before, describe } from 'node:test';
import {
  broadcastAcceptedChange,
  broadcastPendingChange,
  broadcastRejectedChange,
  broadcastSteps,
  broadcastStepsToClient,
  createWebSocketManager,
  disconnectUser,
  getConnectionCount,
  recheckAccess,
  renewSession,
  setAccess,
} from '@captify-io/hub';
import { HubServer, uniqueId } from '../support/hub-server.mjs';

const manager = createWebSocketManager();
const refused = (argument) => ({
  name: 'HubError',
  code: 'HUB_INVALID_ARGUMENT',
  message: new RegExp(`^${argument}\\b`),
});

let server;
before(async () => (server = await HubServer.start()));
after(() => server.close());

/** What JSON would change or leave out. */
const circular = [];
circular.push(circular);
const realm = createContext({});
const CHANGED = {
  'a function': () => {},
  'a symbol': Symbol('x'),
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
  'a boxed NaN': new Number(NaN),
  'a BigInt': 1n,
  'what contains itself': circular,
  'a Map': new Map([[1, 2]]),
  'a Map of another realm': runInContext('new Map([[1, 2]])', realm),
  'a Set': new Set([1]),
  'a WeakMap': new WeakMap(),
  'a promise': Promise.resolve(1),
  'an Error': new Error('x'),
  'a regular expression': /x/,
  'an invalid Date': new Date(NaN),
  'a Uint8Array': new Uint8Array([1, 2]),
  'a Uint8Array of another realm': runInContext('new Uint8Array([1, 2])', realm),
  'a Float64Array': new Float64Array([1]),
  'a DataView': new DataView(new ArrayBuffer(2)),
  'a Buffer': Buffer.from('x'),
  'an ArrayBuffer': new ArrayBuffer(2),
  'a SharedArrayBuffer': new SharedArrayBuffer(2),
  'a Blob': new Blob(['x']),
  Headers: new Headers({ a: 'b' }),
  'a toJSON that answers NaN': { toJSON: () => NaN },
  'a toJSON that throws nothing at all': {
    toJSON() {
      throw undefined;
    },
  },
};

/** Every call that sends JSON of the app's, by the argument that has it. */
const PLACES = [
  ['steps', 'broadcastSteps', (value) => broadcastSteps('d', [value], 'c')],
  ['steps', 'broadcastStepsToClient', (value) => broadcastStepsToClient('d', 'a', [value], 'c')],
  ['steps', 'broadcastAcceptedChange', (value) => broadcastAcceptedChange('d', 'c', [value])],
  ['change', 'broadcastPendingChange', (value) => broadcastPendingChange('d', value)],
  ['message', "the manager's broadcast", (value) => manager.broadcast('/ws/fabric', value)],
];

describe('what JSON would change is refused', () => {
  for (const [what, value] of Object.entries(CHANGED)) {
    test(what, async () => {
      for (const [argument, name, call] of PLACES) {
        for (const each of [value, { nested: { key: value } }, [[value]]]) {
          await assert.rejects(call(each), refused(argument), name);
        }
      }
    });
  }

  test('undefined, by itself and in an array, and what a list leaves out', async () => {
    for (const [argument, name, call] of PLACES) {
      const values = [{ list: [undefined] }, [1, undefined], Array(2), { list: [1, , 3] }]; // prettier-ignore
      for (const each of [undefined, ...values]) await assert.rejects(call(each), refused(argument), name);
    }
  });

  test('the error says what it was and where', async () => {
    await assert.rejects(broadcastSteps('d', [{ from: NaN }], 'c'), /^HubError: steps .*NaN at "from"/);
    await assert.rejects(broadcastPendingChange('d', { a: new Map() }), /^HubError: change .*a Map at "a"/);
  });

  test('steps that are no list', async () => {
    const answersText = Object.assign([1], { toJSON: () => 'x' });
    for (const steps of [new Set([1]), new Uint8Array(2), 'text', { length: 1 }, answersText]) {
      await assert.rejects(broadcastSteps('d', steps, 'c'), refused('steps'));
      await assert.rejects(broadcastAcceptedChange('d', 'c', steps), refused('steps'));
    }
  });
});

test('what JSON carries arrives as it is', async () => {
  const documentId = uniqueId();
  const client = await server.connect(documentId);
  class Step {
    from = 1;
    #hidden = 2;
    toJSON() {
      return { stepType: 'replace', hidden: this.#hidden };
    }
  }
  const date = new Date(0);
  const change = {
    step: new Step(),
    date,
    left: undefined,
    half: 'a\ud800b',
    text: 'é 😀 \0 "',
    number: -1.5e300,
    boxed: new Number(2),
    bare: Object.assign(Object.create(null), { a: null }),
    list: [null, [], {}, '', 0, false],
  };
  assert.equal(await broadcastPendingChange(documentId, change), 1);
  assert.equal(await broadcastSteps(documentId, [change], 'a\ud800'), 1);
  const [pending] = await client.receivedAll('agent-change-pending', 1);
  const [steps] = await client.receivedAll('steps', 1);
  const expected = {
    step: { stepType: 'replace', hidden: 2 },
    date: '1970-01-01T00:00:00.000Z',
    half: 'a\ud800b',
    text: 'é 😀 \0 "',
    number: -1.5e300,
    boxed: 2,
    bare: { a: null },
    list: [null, [], {}, '', 0, false],
  };
  assert.deepEqual(pending.change, expected);
  assert.deepEqual([steps.steps, steps.changeId], [[expected], 'a\ud800']);
  await client.close();
});

/** Every call, by the id that it takes. */
const BY_DOCUMENT = {
  broadcastSteps: (id) => broadcastSteps(id, [], 'c'),
  broadcastStepsToClient: (id) => broadcastStepsToClient(id, 'a', [], 'c'),
  broadcastPendingChange: (id) => broadcastPendingChange(id, 1),
  broadcastAcceptedChange: (id) => broadcastAcceptedChange(id, 'c', []),
  broadcastRejectedChange: (id) => broadcastRejectedChange(id, 'c'),
  setAccess: (id) => setAccess({ userId: 'u', documentId: id }, 'read'),
  recheckAccess: (id) => recheckAccess(id),
};
const BY_USER = {
  setAccess: (id) => setAccess({ userId: id, documentId: 'd' }, 'read'),
  disconnectUser: (id) => disconnectUser(id),
  renewSession: (id) => renewSession({ userId: id, expiresAt: Date.now() + 1000 }),
};
const NO_IDS = [
  null,
  '',
  7,
  true,
  {},
  ['d'],
  new String('d'),
  Symbol('d'),
  'x'.repeat(513),
  'é'.repeat(257),
  'a\ud800b',
];

describe('an id that nobody can have is refused', () => {
  for (const [name, call] of Object.entries(BY_DOCUMENT)) {
    test(`the documentId of ${name}`, async () => {
      for (const id of [undefined, ...NO_IDS, 'a\nb', 'a\0', '\x7f', '\x85']) {
        await assert.rejects(call(id), refused('documentId'), String(id));
      }
      for (const id of ['x'.repeat(512), 'é'.repeat(256), '😀', 'a b', '\u2028']) assert.equal(await call(id), 0);
    });
  }

  for (const [name, call] of Object.entries(BY_USER)) {
    test(`the userId of ${name}`, async () => {
      for (const id of NO_IDS) await assert.rejects(call(id), refused('userId'), String(id));
      // A session may name its user so.
      for (const id of ['x'.repeat(512), 'a\nb']) assert.equal(await call(id), 0);
    });
  }

  test('the clientID of broadcastStepsToClient', async () => {
    for (const id of [undefined, ...NO_IDS, 'a\nb']) {
      await assert.rejects(broadcastStepsToClient('d', id, [], 'c'), refused('clientID'), String(id));
    }
  });

  test('a sessionId, and a change that is no text', async () => {
    for (const sessionId of NO_IDS.filter((id) => id !== null)) {
      await assert.rejects(renewSession({ sessionId, expiresAt: Date.now() }), refused('sessionId'), String(sessionId));
    }
    for (const changeId of [undefined, null, '', 7, {}, ['c'], new String('c'), Symbol('c')]) {
      await assert.rejects(broadcastSteps('d', [], changeId), refused('changeId'));
      await assert.rejects(broadcastAcceptedChange('d', changeId, []), refused('changeId'));
      await assert.rejects(broadcastRejectedChange('d', changeId), refused('changeId'));
    }
  });
});

test('setAccess, renewSession and disconnectUser refuse what they cannot take', async () => {
  for (const about of [undefined, null, 'u', 7]) await assert.rejects(setAccess(about, 'read'), refused('userId'));
  const about = { userId: 'u', documentId: 'd' };
  for (const access of [undefined, null, true, 0, 'none', 'READ', ['read'], new String('read')]) {
    await assert.rejects(setAccess(about, access), refused('access'));
  }
  for (const of of [undefined, null, 'u', 7, {}, new Headers()]) {
    await assert.rejects(renewSession(of), refused('renewSession'));
  }
  for (const expiresAt of [undefined, null, '9999999999999', NaN, Infinity, new Date(NaN)]) {
    await assert.rejects(renewSession({ userId: 'u', expiresAt }), refused('expiresAt'));
  }
  for (const code of [null, '4401', 999, 1005, 1006, 1015, 2999, 5000, 4401.5, 4401n]) {
    await assert.rejects(disconnectUser('u', code), refused('code'));
  }
  for (const reason of [null, 7, {}, Buffer.from('x'), 'a\ud800']) {
    await assert.rejects(disconnectUser('u', 4401, reason), refused('reason'));
  }
});

test('the manager refuses a path that can be no endpoint, and half a surrogate pair', async () => {
  for (const path of [
    undefined,
    null,
    '',
    'fabric',
    '/fabric',
    '/wsx',
    'ws/fabric',
    '/ws/a?b',
    '/ws/a b',
    7,
    ['/ws'],
    '/ws/\ud800',
  ]) {
    await assert.rejects(manager.broadcast(path, 'x'), refused('path'));
  }
  for (const path of ['/ws', '/ws/', '/ws/nobody']) assert.equal(await manager.broadcast(path, 'x'), 0);
  for (const half of ['\ud800', 'a\udc00b', '\udc00\ud800']) {
    await assert.rejects(manager.broadcast('/ws/fabric', half), refused('message'));
  }
});

test('a count is of what was named, not of what it can be made into', async () => {
  const client = await server.connect('7');
  const [replacement] = [await server.connect('\ufffd')];
  assert.equal(getConnectionCount('7'), 1);
  for (const other of [7, ['7'], new String('7'), { toString: () => '7' }, '\ud800'])
    assert.equal(getConnectionCount(other), 0);
  assert.equal(manager.getConnectionCount(['/ws/fabric']), 0);
  await Promise.all([client.close(), replacement.close()]);
});
