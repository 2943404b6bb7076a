// The Y.js provider in a document of kind `updates`, on the hub with a store.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import * as Y from 'yjs';
import { getDocument, setAccess, submitUpdate } from '../../js/index.js';
import { fromBase64, toBase64 } from '../../js/yjs/base64.mjs';
import { startProxy } from '../support/client-stage.mjs';
import { until } from '../support/processes.mjs';
import { UpdatesApp } from '../support/updates-app.mjs';
import { Editor, converged } from '../support/yjs-stage.mjs';

/** An editor of the app's document, at the app itself or at a proxy before it. */
const open = (app, { at = app, ...options } = {}) => Editor.open(at, app.documentId, options);

async function opened(app, options) {
  const editor = open(app, options);
  await editor.isSynced();
  return editor;
}

const isStored = (editor) => until('everything to be stored', () => editor.provider.unacknowledged === 0);

/** Takes the hub away from who comes by the proxy. */
async function cutOff(proxy, editor) {
  proxy.hubPort = 1;
  proxy.cutAll('RST');
  await until('the cut to be noticed', () => !editor.provider.synced);
}

describe('who comes', { timeout: 60_000 }, () => {
  test('and is alone gets the whole document, from the merged state and what came after it', async () => {
    const app = await UpdatesApp.start();
    const first = await opened(app);
    first.text.insert(0, 'merged ');
    await first.client.received('saved');
    app.isAway = true;
    first.text.insert(7, 'and after');
    await isStored(first);
    first.close();
    const late = await opened(app);
    assert.equal(late.text.toString(), 'merged and after');
    const [{ state }] = late.client.messages('state');
    assert.notEqual(state, null);
    assert.equal(late.client.messages('update').length, 1);
    assert.equal(late.sentOf('update').length, 0, 'nothing of the hub is sent back');
    assert.deepEqual(late.client.all('reload'), []);
  });

  test('with a document from elsewhere stores what the hub lacks, deletions too, and nothing twice', async () => {
    const app = await UpdatesApp.start();
    const first = await opened(app);
    first.text.insert(0, 'both gone ');
    await isStored(first);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(first.doc));
    doc.getText('text').delete(5, 5);
    const second = open(app, { doc });
    await first.shows('both ');
    await isStored(second);
    assert.equal(second.sentOf('update').length, 1);
    const third = await opened(app, { doc: await app.stored() });
    assert.equal(third.sentOf('update').length, 0);
  });

  test('asks nobody but the hub', async () => {
    const app = await UpdatesApp.start();
    const editors = [open(app), open(app), open(app)];
    for (const editor of editors) await editor.isSynced();
    const said = editors.flatMap((editor) => editor.sentOf('awareness').map(({ awareness }) => Object.keys(awareness)));
    for (const keys of said) assert.deepEqual(keys, ['client', 'update']);
    for (const editor of editors) assert.equal(editor.sentOf('sync').length, 1);
  });

  test('is not synced before a state that cannot be read is replaced by one that can', async () => {
    const app = await UpdatesApp.start();
    const proxy = await startProxy(app);
    app.states.set(app.documentId, 'Af8=');
    const editor = open(app, { at: proxy });
    await until('the fault to be told', () => editor.faults.length > 0);
    assert.equal(editor.faults[0].code, 'UNREADABLE');
    await editor.client.received('synced');
    assert.equal(editor.provider.synced, false);
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'whole');
    app.states.set(app.documentId, toBase64(Y.encodeStateAsUpdate(doc)));
    proxy.hubPort = await app.restart();
    await editor.isSynced();
    assert.equal(editor.text.toString(), 'whole');
  });
});

describe('what was edited', { timeout: 60_000 }, () => {
  test('before a cut and during it is stored once', async () => {
    const app = await UpdatesApp.start();
    const proxy = await startProxy(app);
    const [a, b] = [await opened(app, { at: proxy }), await opened(app)];
    a.text.insert(0, 'x');
    await cutOff(proxy, a);
    a.text.insert(0, 'y');
    b.text.insert(0, 'z');
    proxy.hubPort = app.port;
    await a.client.saw('recovered');
    await converged([a.doc, b.doc]);
    await isStored(a);
    assert.equal(await app.offset(), 3);
    assert.equal(a.sentOf('sync').length, 1, 'who is recovered asks for nothing');
  });

  test('and was not acknowledged before a restart is stored after it', async () => {
    const app = await UpdatesApp.start();
    const proxy = await startProxy(app);
    const a = await opened(app, { at: proxy });
    a.text.insert(0, 'kept ');
    await isStored(a);
    await cutOff(proxy, a);
    a.text.insert(5, 'and new');
    proxy.hubPort = await app.restart();
    const { reason } = await a.client.saw('reload');
    assert.equal(reason, 'OTHER_EPOCH');
    const isThere = async () => (await app.stored()).getText('text').toString() === 'kept and new';
    await until('it to be stored', isThere);
    await a.isSynced();
    const late = open(app);
    await late.shows('kept and new');
  });

  test('by others than is remembered for recovery is asked for by the offset, and not all of it', async () => {
    const app = await UpdatesApp.start({ historyMaxMessages: 1 });
    const proxy = await startProxy(app);
    const [a, b] = [await opened(app, { at: proxy }), await opened(app)];
    b.text.insert(0, 'first ');
    await a.shows('first ');
    await cutOff(proxy, a);
    b.text.insert(6, 'second ');
    b.text.insert(13, 'third');
    await isStored(b);
    proxy.hubPort = app.port;
    const { reason, seen } = await a.client.saw('reload');
    assert.deepEqual([reason, seen], ['HISTORY_GONE', 1]);
    await a.isSynced();
    assert.equal(a.text.toString(), 'first second third');
    assert.deepEqual(
      a.sentOf('sync').map(({ offset }) => offset),
      [undefined, 1],
    );
    assert.equal(a.client.messages('state').length, 1, 'the whole was sent once');
    assert.equal(a.client.all('reload').length, 1, 'updates that come once more are no contradiction');
  });

  test('by a submit of a route handler arrives', async () => {
    const app = await UpdatesApp.start();
    const a = await opened(app);
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'an agent');
    await submitUpdate(app.documentId, toBase64(Y.encodeStateAsUpdate(doc)));
    await a.shows('an agent');
    assert.equal(a.sentOf('update').length, 0);
  });

  test('as more than a message is stored as updates that Y.js can read, each for itself', async () => {
    const app = await UpdatesApp.start();
    const [a, b] = [await opened(app), await opened(app)];
    const value = 'é𝄞0123456789'.repeat(200_000);
    a.text.insert(0, value);
    a.text.delete(10, 100);
    a.text.insert(10, 'after');
    await isStored(a);
    await converged([a.doc, b.doc, await app.stored()], { timeoutMs: 30_000 });
    const sent = a.sentOf('update');
    assert.ok(sent.length > 10, `${sent.length}`);
    assert.equal(await app.offset(), sent.length);
    for (const { update } of sent) {
      assert.ok(update.length <= 256 * 1024, `${update.length}`);
      Y.decodeUpdate(fromBase64(update));
    }
    assert.deepEqual(a.faults, []);
  });

  test('as a single value that no message can hold is taken out, said, and nothing else is lost', async () => {
    const app = await UpdatesApp.start();
    const [a, b] = [await opened(app), await opened(app)];
    a.doc.transact(() => {
      a.doc.getMap('map').set('picture', 'p'.repeat(2_000_000));
      a.doc.getArray('array').push(['left', 'q'.repeat(2_000_000), 'right']);
      a.text.insert(0, 'beside');
    });
    a.doc.getMap('map').set('later', 1);
    await isStored(a);
    await converged([a.doc, b.doc, await app.stored()]);
    assert.deepEqual(b.doc.getMap('map').toJSON(), { later: 1 });
    assert.deepEqual(b.doc.getArray('array').toJSON(), ['left', 'right']);
    assert.deepEqual(
      a.faults.map(({ code }) => code),
      ['TOO_LARGE'],
    );
    a.doc.getArray('array').insert(1, ['middle']);
    await converged([a.doc, b.doc]);
    assert.deepEqual(b.doc.getArray('array').toJSON(), ['left', 'middle', 'right']);
  });

  test('by one who may only read is refused and said, and stored once it may write', async () => {
    const session = ({ url }) => ({ id: new URL(url, 'http://host').searchParams.get('clientID') });
    const app = await UpdatesApp.start({ session });
    // What it sends is on its way for so long that it is not allowed any more when it arrives.
    const proxy = await startProxy(app, () => ({ delayMs: 100 }));
    const [a, b] = [await opened(app, { at: proxy, clientID: 'a' }), await opened(app)];
    a.text.insert(0, 'refused ');
    assert.equal(await setAccess({ userId: 'a', documentId: app.documentId }, 'read'), 1);
    await until('the fault to be told', () => a.faults.length > 0);
    assert.equal(a.faults[0].code, 'READ_ONLY');
    a.text.insert(8, 'too');
    await setAccess({ userId: 'a', documentId: app.documentId }, 'write');
    await b.shows('refused too');
  });
});

describe('a snapshot', { timeout: 60_000 }, () => {
  /** More than a hub without `merge` lets gather. */
  const LONG = 'long '.repeat(80_000);

  test('that is wanted has everything up to there, and the log is cut behind it', async () => {
    const app = await UpdatesApp.start({ merges: false });
    const [a, b] = [await opened(app), await opened(app)];
    b.text.insert(0, 'theirs ');
    a.text.insert(0, 'mine ');
    await converged([a.doc, b.doc]);
    a.text.insert(0, LONG);
    await until('the snapshot', async () => (await getDocument(app.documentId)).state !== null);
    assert.deepEqual([a.sentOf('snapshot').length, b.sentOf('snapshot').length], [1, 0]);
    await isStored(a);
    const { updates, offset } = await getDocument(app.documentId);
    assert.ok(updates.length < offset, `${updates.length} of ${offset}`);
    const late = await opened(app);
    await converged([a.doc, b.doc, late.doc, await app.stored()]);
  });

  test('is not given by who has not been told everything', async () => {
    const app = await UpdatesApp.start({ merges: false });
    const a = await opened(app);
    await submitUpdate(app.documentId, 'Af8=');
    await until('the fault to be told', () => a.faults.length > 0);
    a.text.insert(0, LONG);
    await a.client.received('snapshot-wanted');
    await isStored(a);
    assert.equal(a.sentOf('snapshot').length, 0);
  });
});
