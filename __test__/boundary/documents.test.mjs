// Documents with an authority, as clients of the npm package `ws` and route handlers see them.
import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import {
  broadcastPendingChange,
  broadcastSteps,
  broadcastStepsToClient,
  editDocument,
  getDocument,
  submitSteps,
} from '../../js/index.js';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { App, apply, word } from '../support/text-documents.mjs';

function join(server, documentId, clientID, more = {}) {
  const query = new URLSearchParams({ documentId, ...(clientID && { clientID }), ...more });
  return server.open(`/ws/fabric?${query}`);
}

async function joined(...of) {
  const client = join(...of);
  await client.received((message) => message.type === 'connected');
  return client;
}

const mismatch = (message) => message.code === 'VERSION_MISMATCH';

describe('a document of kind steps', () => {
  const app = new App();
  let server;
  before(async () => {
    server = await HubServer.start({
      documents: {
        kind: (documentId) => (documentId.startsWith('relay') ? 'relay' : 'steps'),
        store: false,
        load: app.load,
        save: app.save,
        apply,
        saveAfterMs: 60_000,
        saveWithinMs: 60_000,
      },
    });
  });
  after(() => server.close());

  test('steps for the current version reach everybody, their author included', async () => {
    const documentId = uniqueId();
    const [a, b] = [await joined(server, documentId, 'a'), await joined(server, documentId, 'b')];
    const { kind, version } = a.messages[0];
    assert.deepEqual([kind, version], ['steps', 0]);
    a.send({ type: 'steps', documentId, version: 0, steps: [word('one'), word('two')] });
    for (const client of [a, b]) {
      const [steps] = await client.receivedAll('steps', 1);
      assert.deepEqual(steps, {
        type: 'steps',
        documentId,
        version: 0,
        steps: [word('one'), word('two')],
        clientIDs: ['a', 'a'],
        clientID: 'a',
        offset: 1,
      });
    }
  });

  test('steps for another version are refused behind the steps that came before', async () => {
    const documentId = uniqueId();
    const [a, b] = [await joined(server, documentId, 'a'), await joined(server, documentId, 'b')];
    a.send({ type: 'steps', version: 0, steps: [word('first')] });
    await b.receivedAll('steps', 1);
    b.send({ type: 'steps', version: 0, steps: [word('second')] });
    const refusal = await b.received(mismatch);
    assert.deepEqual(
      [refusal.version, refusal.error, refusal.message],
      [1, 'Version not current', 'Version not current'],
    );
    assert.deepEqual(b.messages.map(({ type }) => type).slice(-2), ['steps', 'error']);
    b.send({ type: 'steps', version: 1, steps: [word('second')] });
    const steps = await a.receivedAll('steps', 2);
    assert.equal(steps[1].version, 1);
  });

  test('a version that has not been is answered with reload', async () => {
    const documentId = uniqueId();
    const a = await joined(server, documentId, 'a');
    a.send({ type: 'steps', version: 3, steps: [word('ahead')] });
    assert.equal((await a.received((message) => message.type === 'reload')).reason, 'UNKNOWN_VERSION');
    a.send({ type: 'sync', documentId, version: 9 });
    assert.equal((await a.receivedAll('reload', 2)).length, 2);
  });

  test('sync answers with the whole document, or with the steps behind the version that one has', async () => {
    const documentId = uniqueId();
    app.documents.set(documentId, { doc: { words: ['old'] }, version: 7 });
    const a = await joined(server, documentId, 'a');
    assert.equal(a.messages[0].version, 7);
    a.send({ type: 'steps', version: 7, steps: [word('x'), word('y')] });
    a.send({ type: 'steps', version: 9, steps: [word('z')] });
    await a.receivedAll('steps', 2);
    const b = await joined(server, documentId, 'b');
    b.send({ type: 'sync', documentId });
    const [steps] = await b.receivedAll('steps', 1);
    assert.deepEqual(b.messages.slice(1, 3), [
      { type: 'synced', documentId, version: 10 },
      { type: 'sync', documentId, doc: { words: ['old'] }, version: 7 },
    ]);
    assert.deepEqual(
      [steps.version, steps.steps, steps.clientIDs],
      [7, [word('x'), word('y'), word('z')], ['a', 'a', 'a']],
    );
    b.send({ type: 'sync', version: 8 });
    assert.deepEqual((await b.receivedAll('steps', 2))[1].steps, [word('y'), word('z')]);
    b.send({ type: 'sync', version: 10 });
    assert.deepEqual(await b.received(({ type }) => type === 'upToDate'), { type: 'upToDate', version: 10 });
    b.send({ type: 'pullUpdates', version: 9 });
    assert.deepEqual((await b.receivedAll('steps', 3))[2].steps, [word('z')]);
    b.send({ type: 'pullUpdates', version: 3 });
    const gone = await b.received(({ code }) => code === 'HISTORY_GONE');
    assert.equal(gone.error, 'History no longer available');
  });

  test('a client without an id is given one, and keeps it with its token', async () => {
    const documentId = uniqueId();
    const a = await joined(server, documentId);
    const { clientID, token, epoch, offset } = a.messages[0];
    assert.match(clientID, /^hub-[0-9a-f]{16}$/);
    a.drop();
    const again = await joined(server, documentId, undefined, { token, epoch, offset });
    assert.equal(again.messages[0].clientID, clientID);
    const other = await joined(server, documentId);
    assert.notEqual(other.messages[0].clientID, clientID);
  });

  test("a client's own steps are among what it is given when it comes back", async () => {
    const documentId = uniqueId();
    const [a, b] = [await joined(server, documentId, 'a'), await joined(server, documentId, 'b')];
    a.send({ type: 'steps', version: 0, steps: [word('mine')] });
    await b.receivedAll('steps', 1);
    a.drop();
    const { token, epoch } = a.messages[0];
    const again = await joined(server, documentId, 'a', { token, epoch, offset: 0 });
    const [steps] = await again.receivedAll('steps', 1);
    assert.deepEqual(steps.clientIDs, ['a']);
  });

  test('what is no batch of steps is refused by name', async () => {
    const documentId = uniqueId();
    const a = await joined(server, documentId, 'a');
    const refusals = [
      [{ version: 0, steps: [] }, 'BAD_SHAPE'],
      [{ version: 0, steps: [{ from: 1 }] }, 'BAD_SHAPE'],
      [{ version: 0, steps: Array.from({ length: 1001 }, () => word('x')) }, 'TOO_MANY_STEPS'],
      [{ version: 0, steps: [word('x')], clientID: 'b' }, 'WRONG_CLIENT'],
      [{ version: -1, steps: [word('x')] }, 'BAD_SHAPE'],
    ];
    for (const [batch, code] of refusals) {
      a.messages.length = 0;
      a.send({ type: 'steps', ...batch });
      const error = await a.received(({ type }) => type === 'error');
      assert.equal(error.code, code, JSON.stringify(batch).slice(0, 80));
    }
    a.messages.length = 0;
    a.send({ type: 'snapshot', version: 0, doc: {} });
    assert.equal((await a.received(({ type }) => type === 'error')).code, 'UNEXPECTED');
    a.messages.length = 0;
    a.send({ type: 'update', update: 'x' });
    assert.equal((await a.received(({ type }) => type === 'error')).code, 'WRONG_KIND');
    a.messages.length = 0;
    a.send({ type: 'steps', version: 0, steps: [word('good')] });
    await a.receivedAll('steps', 1);
  });

  test('the newest presence of each is shown to who joins, and its end told', async () => {
    const documentId = uniqueId();
    const [a, b] = [await joined(server, documentId, 'a'), await joined(server, documentId, 'b')];
    a.send({ type: 'presence', clientID: 'forged', userName: 'Ann', selection: { from: 1 } });
    a.send({ type: 'presence', userName: 'Ann', selection: { from: 2 } });
    const shown = { type: 'presence', documentId, userName: 'Ann', selection: { from: 2 }, clientID: 'a' };
    await b.received(({ selection }) => selection?.from === 2);
    assert.deepEqual(b.all('presence').at(-1), shown);
    const c = await joined(server, documentId, 'c');
    assert.deepEqual(await c.received(({ type }) => type === 'presence'), shown);
    a.drop();
    assert.deepEqual(await b.received(({ type }) => type === 'user_left'), { type: 'user_left', clientID: 'a' });
  });

  test("a route handler's steps go through the same door", async () => {
    const documentId = uniqueId();
    const a = await joined(server, documentId, 'a');
    assert.deepEqual(await submitSteps(documentId, { version: 0, steps: [word('hi')], changeId: 'c1' }), {
      version: 1,
    });
    const [steps] = await a.receivedAll('steps', 1);
    assert.deepEqual([steps.clientIDs, steps.clientID, steps.changeId], [['agent'], 'agent', 'c1']);
    await assert.rejects(submitSteps(documentId, { version: 0, steps: [word('late')] }), {
      code: 'HUB_STALE',
      version: 1,
    });
    assert.deepEqual(await getDocument(documentId), { doc: { words: ['hi'] }, version: 1 });
    const edited = await editDocument(documentId, ({ doc, version }) => {
      assert.equal(version, 1);
      return [word(`after ${doc.words.at(-1)}`)];
    });
    assert.deepEqual(edited, { version: 2 });
    assert.deepEqual((await getDocument(documentId)).doc, { words: ['hi', 'after hi'] });
  });

  test('a document that nobody has open is edited and read all the same', async () => {
    const documentId = uniqueId();
    app.documents.set(documentId, { doc: { words: ['kept'] }, version: 3 });
    assert.deepEqual(await getDocument(documentId), { doc: { words: ['kept'] }, version: 3 });
    assert.deepEqual(await submitSteps(documentId, { version: 3, steps: [word('more')] }), { version: 4 });
    assert.equal(app.calls.load.filter((about) => about.documentId === documentId).length, 1);
  });

  test('steps that would go past the authority are refused', async () => {
    const documentId = uniqueId();
    const a = await joined(server, documentId, 'a');
    await assert.rejects(broadcastSteps(documentId, [word('x')], 'c'), { code: 'HUB_WRONG_KIND' });
    await assert.rejects(broadcastStepsToClient(documentId, 'a', [word('x')], 'c'), { code: 'HUB_WRONG_KIND' });
    assert.equal(await broadcastSteps(documentId, [word('x')], 'c', { version: 0 }), 1);
    await broadcastPendingChange(documentId, { id: 1 });
    await a.received(({ type }) => type === 'agent-change-pending');
    assert.deepEqual(
      a.messages.map(({ offset }) => offset),
      [0, 1, 2],
    );
    const relay = uniqueId('relay');
    await assert.rejects(getDocument(relay), { code: 'HUB_WRONG_KIND' });
    await assert.rejects(submitSteps(relay, { version: 0, steps: [word('x')] }), { code: 'HUB_WRONG_KIND' });
    assert.equal(await broadcastSteps(relay, [{}], 'c'), 0);
  });

  test('beside it a relay is what it was', async () => {
    const documentId = uniqueId('relay');
    const [a, b] = [await joined(server, documentId, 'a'), await joined(server, documentId, 'b')];
    assert.deepEqual(Object.keys(a.messages[0]), ['type', 'clientID', 'documentId', 'token', 'epoch', 'offset']);
    a.send({ type: 'steps', documentId, version: 5, steps: ['anything'] });
    const [steps] = await b.receivedAll('steps', 1);
    assert.deepEqual(steps, { type: 'steps', documentId, steps: ['anything'], version: 5, clientID: 'a', offset: 1 });
    const nameless = join(server, documentId);
    assert.deepEqual(await nameless.closing(), { code: 1003, reason: 'Missing documentId or clientID' });
  });
});
