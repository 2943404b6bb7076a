// Coming back, as clients of the npm package `ws` see it, over every way a socket takes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { broadcastSteps, broadcastStepsToClient, getConnectedDocuments, getConnectionCount } from '../../js/index.js';
import { HubServer, overEveryWay, uniqueId, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

/** What a client has to show to come back: what it was told when it connected, and the last offset it has seen. */
function position(client) {
  const { token, epoch, offset } = client.messages[0];
  const offsets = client.messages.map((message) => message.offset ?? 0);
  return { token, epoch, offset: Math.max(offset, ...offsets) };
}

/** Comes back; resolves once the hub has said what becomes of what was missed. */
async function back(server, documentId, clientID, shown) {
  const query = new URLSearchParams({ documentId, clientID, ...shown });
  const client = server.open(`/ws/fabric?${query}`);
  await client.received((message) => message.type === 'recovered' || message.type === 'reload');
  return client;
}

async function cut(client, documentId, left) {
  client.drop();
  await until('the connection to leave the counts', () => getConnectionCount(documentId) === left);
}

overEveryWay((at) => {
  test('a client that was cut off gets what it missed, in order, and then what is new', async () => {
    const documentId = uniqueId();
    const first = await at.server.connect(documentId, 'me');
    const other = await at.server.connect(documentId, 'other');
    other.send({ type: 'update', documentId, update: 'seen' });
    first.send({ type: 'update', documentId, update: 'my own' });
    await first.receivedAll('update', 1);
    await other.receivedAll('update', 1);
    await cut(first, documentId, 1);

    other.send({ type: 'update', documentId, update: 'missed' });
    await other.synced(documentId);
    await broadcastSteps(documentId, [{ from: 1 }], 'missed too');
    assert.equal(await broadcastStepsToClient(documentId, 'me', [], 'for me'), 0);
    await broadcastStepsToClient(documentId, 'other', [], 'not for me');

    const again = await back(at.server, documentId, 'me', position(first));
    await broadcastSteps(documentId, [], 'new');
    await again.received((message) => message.changeId === 'new');
    const shown = again.messages.map(({ type, offset, update, changeId }) => [type, offset, update ?? changeId]);
    assert.deepEqual(shown.slice(2), [
      ['update', 3, 'missed'],
      ['steps', 4, 'missed too'],
      ['steps', 5, 'for me'],
      ['steps', 7, 'new'],
    ]);
    const [connected, recovered] = again.messages;
    assert.equal(connected.offset, 6);
    assert.deepEqual(recovered, { type: 'recovered', from: 1, to: 6, upTo: 0 });
  });

  test('what a client sends again by number is applied once', async () => {
    const documentId = uniqueId();
    const first = await at.server.connect(documentId, 'me');
    const other = await at.server.connect(documentId, 'other');
    const update = (id) => ({ type: 'update', documentId, update: `of ${id}`, id, ack: true });
    first.send(update(1));
    first.send(update(2));
    await first.received((message) => message.type === 'ack' && message.upTo === 2);
    await cut(first, documentId, 1);

    const again = await back(at.server, documentId, 'me', position(first));
    assert.equal(again.messages[1].upTo, 2);
    for (const id of [1, 2, 3]) again.send(update(id));
    await again.received((message) => message.type === 'ack' && message.upTo === 3);
    await other.synced(documentId);
    assert.deepEqual(
      other.all('update').map((message) => message.update),
      ['of 1', 'of 2', 'of 3'],
    );
  });

  test('a forged token, and a good one in the wrong hands, is answered with reload and nothing more', async () => {
    const documentId = uniqueId();
    const honest = await at.server.connect(documentId, 'honest');
    const victim = await at.server.connect(documentId, 'victim');
    const { token, epoch, offset } = position(victim);
    await broadcastStepsToClient(documentId, 'victim', ['secret'], 'secret');
    const forged = [token.replace(/^./, (letter) => (letter === 'A' ? 'B' : 'A')), token.slice(1), '', `${token}A`];
    const attempts = [['thief', token], ...forged.map((each) => ['victim', each])];
    for (const [clientID, shown] of attempts) {
      const thief = await back(at.server, documentId, clientID, { token: shown, epoch, offset });
      await thief.synced(documentId);
      assert.deepEqual(
        thief.messages.slice(1).map(({ type, reason }) => [type, reason]),
        [
          ['reload', 'BAD_TOKEN'],
          ['synced', undefined],
        ],
      );
    }
    assert.equal(victim.closed, null);
    await honest.synced(documentId);
    assert.deepEqual(
      honest.messages.map((message) => message.type),
      ['connected', 'synced'],
    );
  });

  test('whoever shows the token of an open connection takes its place', async () => {
    const documentId = uniqueId();
    const first = await at.server.connect(documentId, 'me');
    const again = await back(at.server, documentId, 'me', position(first));
    assert.equal(again.messages[1].type, 'recovered');
    assert.deepEqual(await first.closing(), { code: 4409, reason: 'Replaced by a newer connection' });
    await until('one connection to be left', () => getConnectionCount(documentId) === 1);
  });

  test('who joins is shown the newest cursor of each who is there', async () => {
    const documentId = uniqueId();
    const [one, gone] = await Promise.all([
      at.server.connect(documentId, 'one'),
      at.server.connect(documentId, 'gone'),
    ]);
    for (const cursor of [1, 2]) one.send({ type: 'awareness', documentId, awareness: { cursor } });
    one.send({ type: 'selection', documentId, selection: 3 });
    gone.send({ type: 'awareness', documentId, awareness: 'gone' });
    await one.receivedAll('awareness', 1);
    await gone.receivedAll('selection', 1);
    await cut(gone, documentId, 1);
    const late = await at.server.connect(documentId, 'late');
    await late.synced(documentId);
    assert.deepEqual(late.messages.slice(1, -1), [
      { type: 'awareness', documentId, awareness: { cursor: 2 }, clientID: 'one' },
      { type: 'selection', documentId, selection: 3, clientID: 'one' },
    ]);
  });

  test('a client that goes on sending what cannot be obeyed is closed with 1008, and nobody else notices', async () => {
    const documentId = uniqueId();
    const honest = await at.server.connect(documentId, 'honest');
    const attacker = await at.server.connect(documentId, 'attacker');
    for (let index = 0; index < 100; index += 1) attacker.send({ type: 'dance', documentId });
    assert.equal((await attacker.closing()).code, 1008);
    assert.equal(attacker.all('error').length, 33);
    await honest.synced(documentId);
    assert.equal(honest.messages.length, 2);
  });

  test('nesting over maxDepth is answered with TOO_DEEP', async () => {
    const documentId = uniqueId();
    const client = await at.server.connect(documentId);
    const deep = `${'['.repeat(20_001)}${']'.repeat(20_001)}`;
    client.socket.send(`{"type":"update","documentId":"${documentId}","update":${deep}}`);
    assert.equal((await client.received((message) => message.type === 'error')).code, 'TOO_DEEP');
  });
});

for (const tokenSecret of [undefined, 'known to every process of the app']) {
  test(`a restart is a clean reload ${tokenSecret ? 'with' : 'without'} a tokenSecret`, async () => {
    const documentId = uniqueId();
    const before = await HubServer.start({ way: WAYS[0], tokenSecret });
    const client = await before.connect(documentId, 'me');
    await broadcastSteps(documentId, [], 'seen');
    await client.receivedAll('steps', 1);
    await before.close();
    const after = await HubServer.start({ way: WAYS[0], tokenSecret });
    try {
      const again = await back(after, documentId, 'me', position(client));
      assert.deepEqual(again.messages[1], { type: 'reload', reason: 'OTHER_EPOCH' });
      assert.equal(again.messages[0].offset, 0);
      await again.synced(documentId);
    } finally {
      await after.close();
    }
  });
}

test('a document that everybody has left is remembered for the window, and counted by nobody', async () => {
  const recoveryWindowMs = 2000;
  const server = await HubServer.start({ recoveryWindowMs });
  try {
    const documentId = uniqueId();
    const client = await server.connect(documentId, 'me');
    await cut(client, documentId, 0);
    assert.deepEqual(getConnectedDocuments(), []);
    assert.equal(await broadcastSteps(documentId, [], 'while nobody was there'), 0);
    const again = await back(server, documentId, 'me', position(client));
    await again.receivedAll('steps', 1);
    await cut(again, documentId, 0);
    await new Promise((done) => setTimeout(done, 1.5 * recoveryWindowMs));
    const late = await back(server, documentId, 'me', position(again));
    assert.deepEqual(late.messages[1], { type: 'reload', reason: 'OTHER_EPOCH' });
  } finally {
    await server.close();
  }
});

test('recoveryWindowMs 0 leaves the wire as it was', async () => {
  const server = await HubServer.start({ recoveryWindowMs: 0 });
  try {
    const documentId = uniqueId();
    const [one, other] = [await server.connect(documentId, 'one'), await server.connect(documentId, 'other')];
    assert.deepEqual(one.messages, [{ type: 'connected', clientID: 'one', documentId }]);
    one.send({ type: 'update', documentId, update: 1 });
    const [message] = await other.receivedAll('update', 1);
    assert.deepEqual(message, { type: 'update', documentId, update: 1, clientID: 'one' });
    const again = await back(server, documentId, 'one', { token: 'x' });
    assert.deepEqual(again.messages[1], { type: 'reload', reason: 'RECOVERY_OFF' });
  } finally {
    await server.close();
  }
});
