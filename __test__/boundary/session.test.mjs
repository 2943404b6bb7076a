// Who may come in by a function of the app's: the session at the upgrade, its end, its renewal, and what comes meanwhile.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { renewSession } from '../../js/index.js';
import { as, ask, headerSession, outcome, waiting } from '../support/admission.mjs';
import { HubServer, overEveryWay } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { ending, startProgram } from '../support/programs.mjs';
import { fabricTarget, frame, RawClient, TEXT } from '../support/raw-client.mjs';

const UNAUTHORIZED = { code: 4401, reason: 'Unauthorized' };

function without({ client, ...rest }) {
  client?.drop();
  return rest;
}

overEveryWay(
  (at) => {
    test('a function of the app says who comes in, and bytes sent before it has are not lost', async () => {
      const early = frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' }));
      const client = await ask(at.server, fabricTarget('document'), as({ id: 'anna' }));
      client.write(early, early);
      assert.equal((await client.response()).status, 101);
      const types = [];
      for (let index = 0; index < 3; index += 1) types.push(JSON.parse((await client.frame()).payload).type);
      assert.deepEqual(types, ['connected', 'synced', 'synced']);
      assert.deepEqual(without(await outcome(at.server, {})), UNAUTHORIZED);
    });

    test('a session that ends is announced, then closed with 4401', async () => {
      const { client } = await outcome(at.server, as({ id: 'anna', expiresAt: Date.now() + 3000 }));
      const warning = JSON.parse((await client.frame()).payload);
      assert.equal(warning.type, 'session-expiring');
      assert.ok(warning.inMs > 0 && warning.inMs <= 3000, String(warning.inMs));
      assert.deepEqual(await client.closeFrame(), UNAUTHORIZED);
    });

    test('a session is renewed without reconnecting, and its client can ask', async () => {
      const user = { id: 'anna', sessionId: 'laptop', expiresAt: Date.now() + 4000 };
      const [{ client }, other] = [
        await outcome(at.server, as(user)),
        await outcome(at.server, as({ ...user, sessionId: 'phone' })),
      ];
      assert.equal(JSON.parse((await client.frame()).payload).type, 'session-expiring');
      const expiresAt = Date.now() + 3_600_000;
      const request = new Request('http://app.example/api/session', { headers: as({ ...user, expiresAt }) });
      assert.equal(await renewSession(request), 1);
      client.write(frame(TEXT, '{"type":"session"}'));
      const answer = JSON.parse((await client.frame()).payload);
      assert.equal(answer.type, 'session');
      assert.ok(answer.expiresInMs > 3_500_000 && answer.expiresInMs <= 3_600_000);
      assert.deepEqual(await other.client.closeFrame(), UNAUTHORIZED, 'the other session ends when it was to');
      client.write(frame(TEXT, '{"type":"session"}'));
      assert.equal(JSON.parse((await client.frame()).payload).type, 'session', 'and this one goes on');
    });
  },
  { session: headerSession, sessionWarningMs: 60_000 },
);

describe('while the app decides', () => {
  async function withHook(options, visit) {
    const { hook, calls } = waiting();
    const server = await HubServer.start({ session: hook, ...options });
    const asked = (count) => until('the app to be asked', () => (calls.length >= count ? calls : null));
    try {
      await visit({ server, calls, asked });
    } finally {
      await server.close();
    }
  }

  test('a client that leaves is forgotten', async () => {
    await withHook({ limits: { waiting: 1 } }, async ({ server, calls, asked }) => {
      const leaves = await ask(server, fabricTarget('document'));
      await asked(1);
      leaves.drop();
      await until(
        'its socket to be gone',
        () => new Promise((done) => server.server.getConnections((_, count) => done(count === 0))),
      );
      calls[0].resolve({ id: 'anna' });
      const stays = await ask(server, fabricTarget('document'));
      await asked(2);
      calls[1].resolve({ id: 'berta' });
      assert.equal((await stays.response()).status, 101);
      assert.equal(server.hub.stats().users, 1);
    });
  });

  test('no more wait than may, and those who do not find a place are told 503', async () => {
    await withHook({ limits: { waiting: 2 } }, async ({ server, calls, asked }) => {
      const waits = [await ask(server, fabricTarget('document')), await ask(server, fabricTarget('document'))];
      await asked(2);
      const refused = await Promise.all(Array.from({ length: 20 }, () => outcome(server, {})));
      assert.ok(refused.every(({ status }) => status === 503));
      assert.equal(server.hub.stats().events.LIMIT_WAITING, 20);
      for (const { resolve } of calls.slice(0, 2)) resolve({ id: 'anna' });
      for (const client of waits) assert.equal((await client.response()).status, 101);
    });
  });

  test('a decision that takes too long lets nobody in: 1013', async () => {
    await withHook({ admissionTimeoutMs: 100 }, async ({ server, calls }) => {
      const { code } = without(await outcome(server, {}));
      assert.equal(code, 1013);
      calls[0].resolve({ id: 'late' });
      assert.equal(server.hub.stats().events.ADMISSION_TIMEOUT, 1);
      assert.equal(server.hub.stats().users, 0);
    });
  });

  test('a decision that fails lets nobody in: 1011', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      const [failing, wrong] = [outcome(server, {}), outcome(server, {})];
      await asked(2);
      calls[0].reject(new Error('the database is gone'));
      calls[1].resolve({ name: 'a user without an id' });
      for (const one of [failing, wrong]) assert.equal(without(await one).code, 1011);
    });
    const server = await HubServer.start({
      session: () => {
        throw new Error('at once');
      },
    });
    assert.equal(without(await outcome(server, {})).code, 1011);
    await server.close();
  });

  test('a decision that never comes keeps no process whose server and hub are closed', async () => {
    const program = startProgram(
      'a hub whose app never decides',
      `
        import { HubServer } from './__test__/support/hub-server.mjs';
        const server = await HubServer.start({ session: () => { close(); return new Promise(() => {}); }, admissionTimeoutMs: 600_000 });
        const close = () => setTimeout(() => server.close(), 50);
        console.log('listening on ' + server.port);
      `,
    );
    const [, port] = await program.printed(/listening on (\d+)/);
    const client = await ask({ raw: () => RawClient.connect({ port: Number(port) }) }, fabricTarget('document'));
    assert.equal((await client.response()).status, 503);
    client.drop();
    assert.equal((await ending(program)).code, 0);
  });

  test('a session without an end, or with one in a million years, just goes on', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      for (const [index, expiresAt] of [Infinity, 8.64e15, null, undefined].entries()) {
        const coming = outcome(server, {});
        await asked(index + 1);
        calls[index].resolve({ id: 'anna', expiresAt });
        const { client, type } = await coming;
        assert.equal(type, 'connected');
        client.write(frame(TEXT, '{"type":"session"}'));
        assert.equal(JSON.parse((await client.frame()).payload).type, 'session');
      }
    });
  });

  test('a hub that closes refuses those who wait with 503', async () => {
    await withHook({}, async ({ server, asked }) => {
      const client = await ask(server, fabricTarget('document'));
      await asked(1);
      await server.hub.close();
      const { status, text } = await client.response();
      assert.deepEqual([status, text], [503, 'The server is restarting.']);
    });
  });

  test('what a client sends meanwhile is read only so far, and none of it is lost', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      let socket;
      // Before the hub: those behind it are not given what it takes.
      server.server.prependListener('upgrade', (_request, upgraded) => (socket = upgraded));
      const client = await ask(server, fabricTarget('document'));
      await asked(1);
      const sync = frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' }).padEnd(60_000, ' '));
      const count = 100;
      for (let index = 0; index < count; index += 1) client.write(sync);
      const read = await until('the reading to stop', async () => {
        const before = socket.bytesRead;
        await new Promise((done) => setTimeout(done, 50));
        return before > 10_000 && socket.bytesRead === before ? before : null;
      });
      assert.ok(read < 1_000_000, `${read} of 6,000,000 bytes`);
      calls[0].resolve({ id: 'anna' });
      assert.equal((await client.response()).status, 101);
      assert.equal(JSON.parse((await client.frame()).payload).type, 'connected');
      for (let index = 0; index < count; index += 1) {
        assert.equal(JSON.parse((await client.frame()).payload).type, 'synced');
      }
    });
  });
});
