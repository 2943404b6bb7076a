// Documents that keep their updates, as clients of the npm package `ws` and route handlers see them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { getDocument, submitSteps, submitUpdate } from '../../js/index.js';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { storePath } from '../support/text-documents.mjs';

/** A set of words as a CRDT: a state is a sorted list of them, an update one of them. */
const merge = (state, updates) => {
  if (updates.includes('bad')) throw new Error('a bad word');
  return [...new Set([...(state ?? []), ...updates])].sort();
};

async function start(context, documents) {
  const server = await HubServer.start({ documents: { kind: 'updates', store: false, ...documents } });
  context.after(() => server.close());
  return server;
}

const quick = { saveAfterMs: 20, saveWithinMs: 200 };

/** Everything between a `sync` and its `synced`. */
async function sync(client, documentId, offset) {
  const from = client.messages.length;
  await client.synced(documentId);
  const all = () => client.messages.slice(from);
  if (offset === undefined) return all().slice(0, -1);
  const again = client.messages.length;
  const before = client.all('synced').length;
  client.send({ type: 'sync', documentId, offset });
  await client.receivedAll('synced', before + 1);
  return client.messages.slice(again, -1);
}

test('a newcomer who is alone is given everything, and who was there what it has not seen', async (context) => {
  const server = await start(context, { merge });
  const documentId = uniqueId();
  const a = await server.connect(documentId, 'a');
  assert.equal(a.messages[0].kind, 'updates');
  const b = await server.connect(documentId, 'b');
  for (const update of ['x', 'y', 'z']) a.send({ type: 'update', documentId, update });
  const updates = await b.receivedAll('update', 3);
  assert.deepEqual(
    updates.map(({ update, clientID, offset }) => [update, clientID, offset]),
    [['x', 'a', 1], ['y', 'a', 2], ['z', 'a', 3]], // prettier-ignore
  );
  assert.deepEqual(a.all('update'), [], 'its own it has');
  a.drop();
  b.drop();
  const c = await server.connect(documentId, 'c');
  const all = await sync(c, documentId);
  assert.deepEqual(all[0], { type: 'state', documentId, state: null, offset: 0 });
  assert.deepEqual(
    all.slice(1).map(({ update }) => update),
    ['x', 'y', 'z'],
  );
  const rest = await sync(c, documentId, 2);
  assert.deepEqual(
    rest.map(({ type, update }) => [type, update]),
    [['update', 'z']],
  );
});

test('an update is acknowledged once it is stored', async (context) => {
  const server = await start(context, { merge, store: await storePath(context) });
  const documentId = uniqueId();
  const a = await server.connect(documentId, 'a');
  a.send({ type: 'update', documentId, update: 'x', id: 1, ack: true });
  assert.equal((await a.received(({ type }) => type === 'ack')).upTo, 1);
  assert.deepEqual(await getDocument(documentId), { state: ['x'], offset: 1 });
});

test('a document is merged and saved, and the next one who comes is given the state', async (context) => {
  const saves = [];
  const load = ({ documentId }) => (documentId.endsWith('new') ? null : { state: ['old'] });
  const server = await start(context, { merge, load, save: (about) => void saves.push(about), ...quick });
  const documentId = uniqueId();
  const a = await server.connect(documentId, 'ann');
  a.send({ type: 'update', documentId, update: 'x' });
  a.send({ type: 'update', documentId, update: 'bad' });
  assert.deepEqual(await a.received(({ type }) => type === 'saved'), { type: 'saved', version: 2, offset: 2 });
  const { signal, ...about } = saves[0];
  assert.equal(signal.aborted, false);
  assert.deepEqual(about, {
    documentId,
    state: ['old', 'x'],
    updates: ['x', 'bad'],
    offset: 2,
    previousOffset: 0,
    reason: 'quiet',
    editors: ['ann'],
  });
  const b = await server.connect(documentId, 'b');
  assert.deepEqual(await sync(b, documentId), [{ type: 'state', documentId, state: ['old', 'x'], offset: 2 }]);
  await submitUpdate(documentId, 'from the agent');
  const [update] = await b.receivedAll('update', 1);
  assert.deepEqual([update.update, update.clientID, update.offset], ['from the agent', 'agent', 3]);
  await assert.rejects(submitSteps(documentId, { version: 0, steps: [{ stepType: 'x' }] }), { code: 'HUB_WRONG_KIND' });
});

test('what was not saved is there after a restart, beside what the app has', async (context) => {
  const store = await storePath(context);
  const documentId = uniqueId();
  const failing = () => {
    throw new Error('away');
  };
  const first = await start(context, { merge, store, load: () => null, save: failing, ...quick });
  await submitUpdate(documentId, 'kept');
  await first.hub.close({ timeoutMs: 1000 });
  const saves = [];
  const load = () => ({ state: ['theirs'] });
  const second = await start(context, { merge, store, load, save: (about) => void saves.push(about), ...quick });
  const a = await second.connect(documentId, 'a');
  const all = await sync(a, documentId);
  assert.deepEqual(all[0].state, ['theirs']);
  await until('the save', () => saves.length > 0);
  assert.deepEqual(saves[0].state, ['kept', 'theirs']);
  await second.hub.close({ timeoutMs: 1000 });
});

test('where nobody else can merge, a writer is asked for a snapshot, and nobody else', async (context) => {
  const store = await storePath(context);
  const server = await start(context, { store });
  const documentId = uniqueId();
  const [a, b] = [await server.connect(documentId, 'a'), await server.connect(documentId, 'b')];
  for (let index = 0; index < 501; index += 1) a.send({ type: 'update', documentId, update: `w${index}` });
  const { offset } = await a.received(({ type }) => type === 'snapshot-wanted');
  b.send({ type: 'snapshot', documentId, offset, state: ['forged'] });
  assert.equal((await b.received(({ type }) => type === 'error')).code, 'UNEXPECTED');
  await a.synced(documentId);
  a.send({ type: 'snapshot', documentId, offset, state: ['all'] });
  const [state, ...rest] = await sync(a, documentId);
  assert.deepEqual([state.state, state.offset, rest.length], [['all'], offset, 501 - offset]);
  assert.deepEqual(b.all('snapshot-wanted'), []);
  await server.hub.close({ timeoutMs: 1000 });
  const again = await start(context, { store });
  const c = await again.connect(documentId, 'c');
  const [kept, ...behind] = await sync(c, documentId);
  assert.deepEqual([kept.state, behind.length], [['all'], 501 - offset]);
});
