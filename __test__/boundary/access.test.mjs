// What those who came in may do, and how it changes on open sockets.
import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import {
  broadcastSteps,
  disconnectUser,
  getConnectionCount,
  recheckAccess,
  renewSession,
  setAccess,
} from '../../js/index.js';
import { as, ask, headerSession, outcome, waiting } from '../support/admission.mjs';
import { HubServer, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { fabricTarget, frame, TEXT } from '../support/raw-client.mjs';

const FORBIDDEN = { code: 4403, reason: 'Forbidden' };

/** Documents are named after what users may do with them, until `rules` says otherwise. */
const rules = new Map();
const asked = [];

async function access(request) {
  asked.push(request);
  const { documentId, user } = request;
  const rule = rules.get(documentId) ?? documentId.split('-')[0];
  if (rule === 'throw') throw new Error('the database is gone');
  return { none: false, owner: user.id === 'owner' ? 'write' : 'read' }[rule] ?? rule;
}

const message = async (client) => JSON.parse((await client.frame()).payload);

async function come(server, documentId, user = { id: 'anna' }, clientID = uniqueId('client')) {
  const come = await outcome(server, as(user), fabricTarget(documentId, clientID));
  const { client } = come;
  return { ...come, say: (text) => client.write(frame(TEXT, JSON.stringify(text))) };
}

/** What a client was sent before the answer to a question it asks now. */
async function heard({ client, say }, documentId) {
  say({ type: 'sync', documentId });
  const all = [];
  for (;;) {
    const next = await message(client);
    if (next.type === 'synced') return all;
    all.push(next);
  }
}

overEveryWay(
  (at) => {
    test('no access closes with 4403, and nobody in the document notices', async () => {
      const documentId = uniqueId('owner');
      const honest = await come(at.server, documentId, { id: 'owner' });
      const refused = await outcome(at.server, as({ id: 'mallory' }), fabricTarget(uniqueId('none')));
      assert.deepEqual({ code: refused.code, reason: refused.reason }, FORBIDDEN);
      assert.deepEqual(await heard(honest, documentId), []);
      assert.equal(getConnectionCount(documentId), 1);
    });

    test('who may only read receives, syncs and shows awareness, and changes nothing', async () => {
      const documentId = uniqueId('owner');
      const [owner, reader] = [await come(at.server, documentId, { id: 'owner' }), await come(at.server, documentId)];
      assert.deepEqual(await heard(reader, documentId), [{ type: 'access', access: 'read' }]);
      reader.say({ type: 'update', documentId, update: 'forged' });
      reader.say({ type: 'steps', documentId, steps: ['forged'], version: 1 });
      reader.say({ type: 'awareness', documentId, awareness: 'here' });
      reader.say({ type: 'selection', documentId, selection: 3 });
      const answers = await heard(reader, documentId);
      assert.deepEqual(
        answers.map(({ type, code }) => [type, code]),
        [
          ['error', 'READ_ONLY'],
          ['error', 'READ_ONLY'],
        ],
      );
      assert.deepEqual(
        (await heard(owner, documentId)).map(({ type }) => type),
        ['awareness', 'selection'],
      );
      owner.say({ type: 'update', documentId, update: 1 });
      await heard(owner, documentId);
      await broadcastSteps(documentId, [1], 'change');
      assert.deepEqual(
        [await message(reader.client), await message(reader.client)].map(({ type }) => type),
        ['update', 'steps'],
      );
    });

    test('access changes on an open socket, both ways, and its client is told', async () => {
      const documentId = uniqueId('write');
      const [anna, berta] = [await come(at.server, documentId), await come(at.server, documentId, { id: 'berta' })];
      const otherDocument = uniqueId('write');
      const elsewhere = await come(at.server, otherDocument);
      assert.equal(await setAccess({ userId: 'anna', documentId }, 'read'), 1);
      anna.say({ type: 'update', documentId, update: 'too late' });
      const told = await heard(anna, documentId);
      assert.deepEqual([told[0], told[1].code], [{ type: 'access', access: 'read' }, 'READ_ONLY']);
      assert.equal(await setAccess({ userId: 'anna', documentId }, 'write'), 1);
      anna.say({ type: 'update', documentId, update: 'in time' });
      assert.deepEqual(await heard(anna, documentId), [{ type: 'access', access: 'write' }]);
      assert.deepEqual(
        (await heard(berta, documentId)).map(({ update }) => update),
        ['in time'],
      );
      assert.equal(await setAccess({ userId: 'anna', documentId }, false), 1);
      assert.deepEqual(await anna.client.closeFrame(), FORBIDDEN);
      assert.deepEqual(await heard(elsewhere, otherDocument), [], 'the other document is another matter');
      assert.equal(await setAccess({ userId: 'nobody', documentId }, false), 0);
    });

    test('a user is disconnected everywhere, and others stay', async () => {
      const documentId = uniqueId('write');
      const tabs = [
        await come(at.server, documentId, { id: 'eva' }),
        await come(at.server, uniqueId('write'), { id: 'eva' }),
      ];
      const stays = await come(at.server, documentId);
      assert.equal(await disconnectUser('eva', 4001, 'Moved'), 2);
      for (const { client } of tabs) assert.deepEqual(await client.closeFrame(), { code: 4001, reason: 'Moved' });
      assert.deepEqual(await heard(stays, documentId), []);
      const again = await come(at.server, documentId, { id: 'eva' });
      await disconnectUser('eva');
      assert.deepEqual(await again.client.closeFrame(), { code: 4401, reason: 'Unauthorized' });
    });
  },
  { session: headerSession, access },
);

describe('deciding', () => {
  let server;
  before(async () => (server = await HubServer.start({ session: headerSession, access })));
  after(() => server.close());

  test('is asked with the user, the document, the client, the path and the request', async () => {
    const documentId = uniqueId('write');
    const user = { id: 'anna', groups: ['a'], clearanceLevel: 3 };
    await come(server, documentId, user, 'é 1');
    const { req, ...request } = asked.find((one) => one.documentId === documentId);
    assert.deepEqual(request, { user, documentId, clientID: 'é 1', path: '/ws/fabric' });
    assert.match(req.url, /^\/ws\/fabric\?/);
  });

  test('again about a document applies what is true now to everybody there', async () => {
    const documentId = uniqueId('write');
    const [anna, owner] = [await come(server, documentId), await come(server, documentId, { id: 'owner' })];
    rules.set(documentId, 'owner');
    assert.equal(await recheckAccess(documentId), 2);
    assert.deepEqual(await heard(anna, documentId), [{ type: 'access', access: 'read' }]);
    assert.deepEqual(await heard(owner, documentId), []);
    rules.set(documentId, 'none');
    assert.equal(await recheckAccess(documentId), 2);
    assert.deepEqual(await anna.client.closeFrame(), FORBIDDEN);
    assert.equal(await recheckAccess('nobody has it'), 0);
  });

  test('again that fails keeps nobody in: 1013, to come back and be decided about', async () => {
    const documentId = uniqueId('write');
    const anna = await come(server, documentId);
    rules.set(documentId, 'throw');
    await recheckAccess(documentId);
    assert.equal((await anna.client.closeFrame()).code, 1013);
    assert.equal((await come(server, documentId)).code, 1011);
  });

  test('with an answer that is none lets nobody in: 1011', async () => {
    for (const answer of [true, 'admin', undefined, null, 1]) {
      const documentId = uniqueId();
      rules.set(documentId, answer ?? 'undefined');
      assert.equal((await come(server, documentId)).code, 1011, String(answer));
    }
  });

  test('arguments that make no sense are refused by name', async () => {
    const invalid = { code: 'HUB_INVALID_ARGUMENT' };
    await assert.rejects(setAccess({ userId: 'anna' }, 'read'), invalid);
    await assert.rejects(setAccess(undefined, 'read'), invalid);
    await assert.rejects(setAccess({ userId: 'anna', documentId: 'd' }, true), invalid);
    await assert.rejects(disconnectUser(''), invalid);
    for (const code of [999, 1005, 1006, 1015, 2000, 5000, '4401'])
      await assert.rejects(disconnectUser('anna', code), invalid);
    await assert.rejects(recheckAccess(''), invalid);
    for (const about of [undefined, {}, { userId: 'anna' }, { userId: 1, expiresAt: 1 }]) {
      await assert.rejects(renewSession(about), invalid);
    }
  });
});

describe('decisions under way', () => {
  async function withDecisions(visit) {
    const { hook, calls } = waiting();
    const server = await HubServer.start({ session: headerSession, access: hook });
    try {
      await visit({ server, calls, made: (count) => until('the decision', () => calls.length >= count) });
    } finally {
      await server.close();
    }
  }

  test('are shared by tabs of one user that open a document together, and by nobody else', async () => {
    await withDecisions(async ({ server, calls, made }) => {
      const open = (user, documentId) => ask(server, fabricTarget(documentId, uniqueId('tab')), as(user));
      const tabs = await Promise.all(Array.from({ length: 20 }, () => open({ id: 'anna' }, 'one')));
      await open({ id: 'anna' }, 'two');
      await open({ id: 'berta' }, 'one');
      await open({ id: 'anna', clearanceLevel: 3 }, 'one');
      await made(4);
      await until('all to have asked', () => server.hub.stats().connections === 0 && calls.length === 4);
      for (const { resolve } of calls) resolve('write');
      for (const tab of tabs) assert.equal((await tab.response()).status, 101);
      await until('all to be there', () => server.hub.stats().connections === 23);
      assert.equal(calls.length, 4);
      await open({ id: 'anna' }, 'one');
      await made(5);
      calls[4].resolve(false);
    });
  });

  test('are made anew where access was changed meanwhile', async () => {
    await withDecisions(async ({ server, calls, made }) => {
      const coming = outcome(server, as({ id: 'anna' }), fabricTarget('document'));
      await made(1);
      await setAccess({ userId: 'anna', documentId: 'document' }, false);
      calls[0].resolve('write');
      await made(2);
      calls[1].resolve(false);
      assert.equal((await coming).code, 4403);
    });
  });
});

test('without sessions access is asked about nobody, for each connection', async () => {
  const seen = [];
  const server = await HubServer.start({
    access: async ({ user, clientID }) => (seen.push(user), clientID === 'known' && 'write'),
  });
  assert.equal((await outcome(server, {}, fabricTarget('document', 'known'))).type, 'connected');
  assert.equal((await outcome(server, {}, fabricTarget('document', 'unknown'))).code, 4403);
  assert.deepEqual(seen, [null, null]);
  assert.equal(await recheckAccess('document'), 1);
  await server.close();
});
