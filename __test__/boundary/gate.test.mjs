// The gate under attack: what decides and what is let in must be about the same, at every moment.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { disconnectUser, getConnectionCount, recheckAccess, setAccess } from '../../js/index.js';
import { as, ask, headerSession, outcome, waiting } from '../support/admission.mjs';
import { recordingHandler } from '../support/handlers.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { fabricTarget } from '../support/raw-client.mjs';

/** As many turns of the microtask queue as no chain of promises here is long. */
const TURNS = 30;

async function turns(count) {
  for (let turn = 0; turn < count; turn += 1) await null;
}

/** A server whose access function is answered by the test. */
async function withDecisions(options, visit) {
  const { hook, calls } = waiting();
  const server = await HubServer.start({ access: hook, ...options });
  const made = (count) => until('the decision', () => calls.length >= count);
  try {
    await visit({ server, calls, made });
  } finally {
    await server.close();
  }
}

describe('access', () => {
  test('is decided about the document that is joined, however the query is written', async () => {
    const server = await HubServer.start({
      session: headerSession,
      access: ({ documentId }) => documentId === 'mine' && 'write',
    });
    const queries = [
      '??documentId=mine&documentId=secret&clientID=m',
      '?&documentId=mine&documentId=secret&clientID=m',
      '?documentId=mine&documentId=secret&clientID=m',
      '?x=1?documentId=mine&documentId=secret&clientID=m',
      '?documentI%64=mine&documentId=secret&clientID=m',
      '?document%49d=mine&documentId=secret&clientID=m',
      '?documentId=&documentId=mine&clientID=m',
      '?documentId&documentId=secret&clientID=m',
      '?documentId=mine;documentId=secret&clientID=m',
      '?documentId=mine%00&clientID=m',
      '?#documentId=mine&documentId=secret&clientID=m',
      '#?documentId=mine&documentId=secret&clientID=m',
      '?documentId=secret#&documentId=mine&clientID=m',
      '?documentId=mine%26documentId=secret&clientID=m',
      '?%EF%BB%BFdocumentId=mine&documentId=secret&clientID=m',
      '?+documentId=mine&documentId=secret&clientID=m',
    ];
    try {
      for (const query of queries) {
        const { type, documentId } = await outcome(server, as({ id: 'mallory' }), `/ws/fabric${query}`);
        if (type === 'connected') assert.equal(documentId, 'mine', query);
        assert.equal(getConnectionCount('secret'), 0, query);
      }
    } finally {
      await server.close();
    }
  });

  test('of one path is not that of another', async () => {
    await withDecisions({ session: headerSession }, async ({ server, calls, made }) => {
      const open = (path) =>
        outcome(server, as({ id: 'anna' }), `${path}?${new URLSearchParams({ documentId: 'one', clientID: 'a' })}`);
      const [fabric, other] = [open('/ws/fabric'), open('/ws/other')];
      await made(2);
      for (const { argument, resolve } of calls) resolve(argument.path === '/ws/other' && 'write');
      assert.equal((await fabric).code, 4403);
      assert.equal((await other).code, 1003);
    });
  });

  for (const [name, change] of [
    ['access that is taken away', (documentId) => setAccess({ userId: 'anna', documentId }, false)],
    ['a user who is disconnected', () => disconnectUser('anna')],
  ]) {
    test(`${name} between the decision and the joining stays out`, async () => {
      await withDecisions({ session: headerSession }, async ({ server, calls, made }) => {
        for (let turn = 0; turn < TURNS; turn += 1) {
          const documentId = uniqueId();
          const before = calls.length;
          const coming = outcome(server, as({ id: 'anna' }), fabricTarget(documentId));
          await made(before + 1);
          calls[before].resolve('write');
          await turns(turn);
          await change(documentId);
          // Asked again it says what is true now.
          const answered = setInterval(() => calls.slice(before + 1).forEach(({ resolve }) => resolve(false)), 1);
          const { type, client } = await coming;
          clearInterval(answered);
          if (type === 'connected') assert.equal((await client.frame()).opcode, 8, `${turn} turns after the decision`);
          await until('it to be gone', () => getConnectionCount(documentId) === 0);
        }
      });
    });
  }

  test('of a user who is disconnected while it is being decided is refused with what was said', async () => {
    await withDecisions({ session: headerSession }, async ({ server, calls, made }) => {
      const [anna, berta] = ['anna', 'berta'].map((id) => outcome(server, as({ id }), fabricTarget('document')));
      await made(2);
      await disconnectUser('anna', 4000, 'Bye');
      for (const { resolve } of calls) resolve('write');
      assert.deepEqual([(await anna).code, (await anna).reason], [4000, 'Bye']);
      assert.equal((await berta).type, 'connected');
    });
  });

  test('of a user who is disconnected while the session is being read is refused too', async () => {
    const { hook, calls } = waiting();
    const server = await HubServer.start({ session: hook });
    const [anna, berta] = [
      outcome(server, {}, fabricTarget('document')),
      outcome(server, {}, fabricTarget('document')),
    ];
    await until('both to be read', () => calls.length === 2);
    await disconnectUser('anna', 4000, 'Bye');
    calls[0].resolve({ id: 'anna' });
    calls[1].resolve({ id: 'berta' });
    assert.deepEqual([(await anna).code, (await anna).reason].sort(), [4000, 'Bye'].sort());
    assert.equal((await berta).type, 'connected');
    await server.close();
  });

  test('without sessions is decided anew too where it changes while it is being decided', async () => {
    await withDecisions({}, async ({ server, calls, made }) => {
      const coming = outcome(server, {}, fabricTarget('document'));
      await made(1);
      await recheckAccess('document');
      calls[0].resolve('write');
      await made(2);
      calls[1].resolve(false);
      assert.equal((await coming).code, 4403);
    });
  });
});

describe('a session', () => {
  test('that has ended by the time access is decided lets nobody in', async () => {
    await withDecisions({ session: headerSession }, async ({ server, calls, made }) => {
      // It must be good yet when the session is asked for.
      const expiresAt = Date.now() + 2000;
      const coming = outcome(server, as({ id: 'anna', expiresAt }), fabricTarget('document'));
      await made(1);
      await until('its end', () => Date.now() > expiresAt);
      calls[0].resolve('write');
      assert.equal((await coming).code, 4401);
    });
  });
});

test('a handler knows whose connection it has, whatever the client writes', async () => {
  const users = [];
  const handler = recordingHandler({ onConnect: (ws) => void users.push(ws.userId) });
  const server = await HubServer.start({ session: headerSession });
  const clients = [
    await ask(server, `${handler.path}?userId=root`, as({ id: 'mallory' })),
    await ask(server, `${handler.path}?userId=root`),
  ];
  for (const client of clients) assert.equal((await client.response()).status, 101);
  await handler.called('onConnect');
  assert.equal((await clients[1].frame()).payload.readUInt16BE(0), 4401);
  assert.deepEqual(users, ['mallory']);
  await server.close();
});

describe('what a function of the app throws', () => {
  for (const [name, thrown] of [
    ['a symbol', Symbol('odd')],
    ['an object without a text', Object.create(null)],
    ['null', null],
    ['an error whose stack throws', Object.defineProperty(new Error('x'), 'stack', { get: () => assert.fail() })],
  ]) {
    test(`lets nobody in and ends nothing: ${name}`, async (t) => {
      t.mock.method(process.stderr, 'write', () => true);
      for (const hook of ['session', 'access']) {
        for (const fail of [
          () => Promise.reject(thrown),
          () => {
            throw thrown;
          },
        ]) {
          const server = await HubServer.start({ logLevel: 'error', [hook]: fail });
          assert.equal((await outcome(server, {}, fabricTarget('document'))).code, 1011, hook);
          await server.close();
        }
      }
    });
  }
});
