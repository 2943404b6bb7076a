// Handlers in TypeScript behind session and access: who comes in, as whom, and what of it a handler sees.
import assert from 'node:assert/strict';
import test from 'node:test';
import { disconnectUser, registerHandler } from '@captify-io/hub';
import { createAgentHandler } from '@captify-io/hub/agent';
import { as, ask, headerSession, outcome } from '../support/admission.mjs';
import { recordingHandler } from '../support/handlers.mjs';
import { HubServer, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { runProgram } from '../support/programs.mjs';
import { frame, TEXT, upgradeRequest } from '../support/raw-client.mjs';

const session = (request) => {
  // Some apps answer at once.
  if (request.headers['x-at-once']) return JSON.parse(request.headers['x-user'] ?? 'null');
  return headerSession(request);
};
const access = async ({ documentId }) => (documentId === 'closed' ? false : 'write');

overEveryWay(
  (at) => {
    test("ws.userId is the session's user before onConnect, for sessions that are answered at once and later", async () => {
      for (const headers of [{}, { 'x-at-once': '1' }]) {
        const seen = [];
        const { path, called } = recordingHandler({
          onConnect: (ws, request) => seen.push(ws.userId, request.headers['x-user'], request.socket.remoteAddress),
          onMessage: (ws) => ws.send(ws.userId),
        });
        const client = await at.server.raw();
        const request = upgradeRequest(path, { headers: { ...headers, ...as({ id: 'ann' }) } });
        client.write(Buffer.concat([Buffer.from(request), frame(TEXT, 'with the upgrade')]));
        assert.equal((await client.response()).status, 101);
        assert.equal((await client.frame()).payload.toString(), 'ann');
        assert.deepEqual(seen, ['ann', '{"id":"ann"}', '127.0.0.1']);
        client.drop();
        await called('onClose');
      }
    });

    test("an agent's authorize and onRequest are told the user", async () => {
      const asked = [];
      const path = `/ws/${uniqueId('agent')}`;
      registerHandler(
        createAgentHandler({
          path,
          authorize: ({ threadId, userId }) => asked.push(threadId, userId) > 0 && userId === 'ann',
          onRequest: ({ userId }) => ReadableStream.from([`for ${userId}`]),
        }),
      );
      const { client, type } = await outcome(at.server, as({ id: 'ann' }), `${path}?threadId=t`);
      assert.equal(type, 'connected');
      client.write(frame(TEXT, '{"type":"stream","streamId":"s"}'));
      await client.frame();
      assert.equal(JSON.parse((await client.frame()).payload).chunk, 'for ann');
      assert.equal((await outcome(at.server, as({ id: 'bob' }), `${path}?threadId=t`)).code, 4403);
      assert.deepEqual(asked, ['t', 'ann', 't', 'bob']);
      client.drop();
    });

    test('who is not let in, with 4401 or 4403, is nothing a handler hears of', async () => {
      const { path, calls } = recordingHandler();
      assert.equal((await outcome(at.server, {}, path)).code, 4401);
      assert.equal((await outcome(at.server, { 'x-at-once': '1' }, path)).code, 4401);
      assert.equal((await outcome(at.server, as({ id: 'ann' }), `${path}?documentId=closed`)).code, 4403);
      const client = await ask(at.server, path, as({ id: 'ann' }));
      assert.equal((await client.response()).status, 101);
      client.write(frame(TEXT, '1'));
      await client.frame();
      assert.deepEqual(
        calls.map(([name]) => name),
        ['onConnect', 'onMessage'],
      );
      client.drop();
    });

    test("a session that ends, and disconnectUser, end a handler's connections: onClose once, with the code", async () => {
      for (const [user, end, code] of [
        [{ id: 'eve', forMs: 2000 }, () => {}, 4401],
        [{ id: 'dan' }, () => disconnectUser('dan', 4402, 'Gone'), 4402],
      ]) {
        const { path, of, called } = recordingHandler();
        const { id, forMs } = user;
        const client = await ask(at.server, path, as(forMs ? { id, expiresAt: Date.now() + forMs } : user));
        assert.equal((await client.response()).status, 101);
        await called('onConnect');
        await end();
        const { payload } = await client.frame();
        assert.equal(payload.readUInt16BE(0), code);
        client.write(frame(8, payload.subarray(0, 2)));
        await until('onClose', () => of('onClose').length > 0);
        await client.gone();
        assert.deepEqual(
          of('onClose').map(([closed]) => closed),
          [code],
        );
      }
    });
  },
  { session, access },
);

test('nothing sets ws.userId where there is no session', async () => {
  const server = await HubServer.start();
  const { path, sockets, called } = recordingHandler();
  server.open(path);
  await called('onConnect');
  assert.equal('userId' in sockets[0], false);
  await server.close();
});

test('nothing is kept of connections that have closed, were refused, or left while they waited', async () => {
  const { code, output } = await runProgram(
    'a hub whose memory is looked at',
    `
    import { registerHandler } from '@captify-io/hub';
    import { HubServer } from './__test__/support/hub-server.mjs';
    import { ask, as, headerSession, outcome } from './__test__/support/admission.mjs';
    const refs = { socket: [], request: [] };
    let closed = 0;
    registerHandler({
      path: '/ws/x',
      async onConnect(ws) { ws.big = new Uint8Array(10_000); refs.socket.push(new WeakRef(ws)); await null; },
      onMessage(ws, message) { ws.on('message', () => ws); ws.ping(); ws.send(message, () => ws); ws.flushed(); },
      onClose(ws) { closed += 1; ws.send('late', () => ws); ws.flushed(); },
      onError() {},
    });
    const session = (request) =>
      request.headers['x-wait'] ? new Promise((resolve) => setTimeout(resolve, 300, null)) : headerSession(request);
    const server = await HubServer.start({ session, limits: false });
    server.server.on('upgrade', (request) => refs.request.push(new WeakRef(request)));
    const turn = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const enter = async () => {
      const client = await ask(server, '/ws/x', as({ id: 'ann' }));
      await client.response();
      client.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x31]));
      await client.frame();
      client.drop();
    };
    for (let round = 0; round < 20; round += 1) {
      await Promise.all([...Array(100)].map(enter));
      await Promise.all([...Array(5)].map(() => outcome(server, {}, '/ws/x').then(({ client }) => client?.drop())));
      await Promise.all([...Array(5)].map(async () => (await ask(server, '/ws/x', { 'x-wait': '1' })).reset()));
      server.dropClients();
    }
    while (closed < 2000) await turn(10);
    await turn(500);
    for (let times = 0; times < 5; times += 1) { gc(); await turn(20); }
    const left = (list) => list.filter((ref) => ref.deref()).length;
    console.log(JSON.stringify([refs.socket.length, refs.request.length, closed, left(refs.socket), left(refs.request)]));
    await server.close();
    `,
    { nodeArgs: ['--expose-gc'], timeoutMs: 60_000 },
  );
  assert.equal(code, 0, output);
  const [sockets, requests, closed, socketsLeft, requestsLeft] = JSON.parse(output);
  assert.deepEqual([sockets, requests, closed], [2000, 2200, 2000]);
  // The last ones may still be on the engine's stack.
  assert.ok(socketsLeft <= 5 && requestsLeft <= 5, output);
});
