// The Y.js provider in a document of kind `updates`. All of these run against a double that follows PROTOCOL.md, because
// the hub has no such documents yet.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import * as Y from 'yjs';
import { fromBase64 } from '../../js/yjs/base64.mjs';
import { later, startProxy } from '../support/client-stage.mjs';
import { until } from '../support/processes.mjs';
import { UpdatesHub } from '../support/updates-hub.mjs';
import { Editor, converged } from '../support/yjs-stage.mjs';

async function startDouble() {
  const hub = await UpdatesHub.start();
  later(() => hub.close());
  return hub;
}

const open = (at, options) => Editor.open(at, 'document', options);

/** The document as somebody reads it who has only the hub's log. */
function stored(hub) {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, fromBase64(hub.state));
  return doc;
}

const isStored = (hub, editor) => until('everything to be stored', () => editor.provider.unacknowledged === 0 && hub);

describe('against the double: who comes', { timeout: 60_000 }, () => {
  test('and is alone gets the whole document, from the merged state and what came after it', async () => {
    const hub = await startDouble();
    const first = open(hub);
    await first.isSynced();
    first.text.insert(0, 'merged ');
    await isStored(hub, first);
    hub.cut();
    first.text.insert(7, 'and after');
    await isStored(hub, first);
    first.close();
    assert.equal(hub.log.length, 1);
    const late = open(hub);
    await late.isSynced();
    assert.equal(late.text.toString(), 'merged and after');
    assert.equal(late.sentOf('update').length, 0, 'nothing of the hub is sent back');
    assert.deepEqual(late.client.all('reload'), []);
  });

  test('with a document from elsewhere stores what the hub lacks, deletions too, and nothing twice', async () => {
    const hub = await startDouble();
    const first = open(hub);
    await first.isSynced();
    first.text.insert(0, 'both gone ');
    await isStored(hub, first);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(first.doc));
    doc.getText('text').delete(5, 5);
    const second = open(hub, { doc });
    await first.shows('both ');
    await isStored(hub, second);
    assert.equal(second.sentOf('update').length, 1);
    const third = open(hub, { doc: stored(hub) });
    await third.isSynced();
    assert.equal(third.sentOf('update').length, 0);
  });

  test('asks nobody but the hub', async () => {
    const hub = await startDouble();
    const editors = [open(hub), open(hub), open(hub)];
    for (const editor of editors) await editor.isSynced();
    const said = editors.flatMap((editor) => editor.sentOf('awareness').map(({ awareness }) => Object.keys(awareness)));
    for (const keys of said) assert.deepEqual(keys, ['client', 'update']);
    for (const editor of editors) assert.equal(editor.sentOf('sync').length, 1);
  });

  test('is not synced before a state that cannot be read is replaced by one that can', async () => {
    const hub = await startDouble();
    const first = open(hub);
    await first.isSynced();
    first.text.insert(0, 'whole');
    await isStored(hub, first);
    hub.cut();
    const { state } = hub.merged;
    hub.merged.state = 'Af8=';
    const second = open(hub);
    await until('the fault to be told', () => second.faults.length > 0);
    assert.equal(second.faults[0].code, 'UNREADABLE');
    await second.client.received('synced');
    assert.equal(second.provider.synced, false);
    hub.merged.state = state;
    hub.restart();
    await second.isSynced();
    assert.equal(second.text.toString(), 'whole');
  });
});

describe('against the double: what was edited', { timeout: 60_000 }, () => {
  test('before a cut and during it is stored once', async () => {
    const hub = await startDouble();
    const proxy = await startProxy(hub);
    const [a, b] = [open(proxy), open(hub)];
    await a.isSynced();
    await b.isSynced();
    a.text.insert(0, 'x');
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('a to notice', () => !a.provider.synced);
    a.text.insert(0, 'y');
    b.text.insert(0, 'z');
    proxy.hubPort = hub.port;
    await a.client.saw('recovered');
    await converged([a.doc, b.doc]);
    await isStored(hub, a);
    assert.equal(hub.log.length, 3);
    assert.equal(a.sentOf('sync').length, 1, 'who is recovered asks for nothing');
  });

  test('and was not acknowledged before a restart is stored after it', async () => {
    const hub = await startDouble();
    const proxy = await startProxy(hub);
    const a = open(proxy);
    await a.isSynced();
    a.text.insert(0, 'kept ');
    await isStored(hub, a);
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('a to notice', () => !a.provider.synced);
    a.text.insert(5, 'and new');
    hub.restart();
    hub.cut();
    proxy.hubPort = hub.port;
    const { reason } = await a.client.saw('reload');
    assert.equal(reason, 'OTHER_EPOCH');
    await until('it to be stored', () => stored(hub).getText('text').toString() === 'kept and new');
    await a.isSynced();
    const late = open(hub);
    await late.shows('kept and new');
  });

  test('by others than is remembered for recovery is asked for by the offset, and not all of it', async () => {
    const hub = await startDouble();
    const proxy = await startProxy(hub);
    const [a, b] = [open(proxy), open(hub)];
    await a.isSynced();
    await b.isSynced();
    b.text.insert(0, 'first ');
    await a.shows('first ');
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('a to notice', () => !a.provider.synced);
    b.text.insert(6, 'second');
    await isStored(hub, b);
    hub.remembers = false;
    proxy.hubPort = hub.port;
    const { reason, seen } = await a.client.saw('reload');
    assert.deepEqual([reason, seen], ['HISTORY_GONE', 1]);
    await a.isSynced();
    assert.equal(a.text.toString(), 'first second');
    assert.deepEqual(
      a.sentOf('sync').map(({ offset }) => offset),
      [undefined, 1],
    );
    assert.equal(a.client.messages('state').length, 1, 'the whole was sent once');
    assert.equal(a.client.all('reload').length, 1, 'updates that come once more are no contradiction');
  });

  test('by a submit of a route handler arrives', async () => {
    const hub = await startDouble();
    const a = open(hub);
    await a.isSynced();
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'an agent');
    hub.submit(Buffer.from(Y.encodeStateAsUpdate(doc)).toString('base64'));
    await a.shows('an agent');
    assert.equal(a.sentOf('update').length, 0);
  });

  test('as more than a message is stored as updates that Y.js can read, each for itself', async () => {
    const hub = await startDouble();
    const [a, b] = [open(hub), open(hub)];
    await a.isSynced();
    await b.isSynced();
    const value = 'é𝄞0123456789'.repeat(200_000);
    a.text.insert(0, value);
    a.text.delete(10, 100);
    a.text.insert(10, 'after');
    await isStored(hub, a);
    await converged([a.doc, b.doc, stored(hub)], { timeoutMs: 30_000 });
    assert.ok(hub.log.length > 10, `${hub.log.length}`);
    for (const { update } of hub.log) {
      assert.ok(update.length <= 256 * 1024, `${update.length}`);
      Y.decodeUpdate(fromBase64(update));
    }
    assert.deepEqual(a.faults, []);
  });

  test('as a single value that no message can hold is taken out, said, and nothing else is lost', async () => {
    const hub = await startDouble();
    const [a, b] = [open(hub), open(hub)];
    await a.isSynced();
    await b.isSynced();
    a.doc.transact(() => {
      a.doc.getMap('map').set('picture', 'p'.repeat(2_000_000));
      a.doc.getArray('array').push(['left', 'q'.repeat(2_000_000), 'right']);
      a.text.insert(0, 'beside');
    });
    a.doc.getMap('map').set('later', 1);
    await isStored(hub, a);
    await converged([a.doc, b.doc, stored(hub)]);
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
    const hub = await startDouble();
    const [a, b] = [open(hub), open(hub)];
    await a.isSynced();
    await b.isSynced();
    hub.access = 'read';
    a.text.insert(0, 'refused ');
    await until('the fault to be told', () => a.faults.length > 0);
    assert.equal(a.faults[0].code, 'READ_ONLY');
    a.text.insert(8, 'too');
    hub.access = 'write';
    for (const client of hub.server.clients) client.send('{"type":"access","access":"write"}');
    await b.shows('refused too');
  });
});

describe('against the double: a snapshot', { timeout: 60_000 }, () => {
  test('that is wanted has everything up to there, and the log is cut behind it', async () => {
    const hub = await startDouble();
    const [a, b] = [open(hub), open(hub)];
    await a.isSynced();
    await b.isSynced();
    b.text.insert(0, 'theirs ');
    a.text.insert(0, 'mine ');
    await converged([a.doc, b.doc]);
    await isStored(hub, a);
    await isStored(hub, b);
    hub.wantSnapshot();
    await until('the snapshot', () => hub.merged.offset === 2);
    assert.equal(hub.log.length, 0);
    const late = open(hub);
    await late.isSynced();
    assert.equal(late.text.toString(), a.text.toString());
  });

  test('is not given by who has not been told everything, or may only read', async () => {
    const hub = await startDouble();
    const a = open(hub);
    await a.isSynced();
    hub.submit('Af8=');
    await until('the fault to be told', () => a.faults.length > 0);
    hub.wantSnapshot();
    a.client.send('sync');
    await a.client.received('synced', 2);
    assert.equal(hub.received.filter(({ type }) => type === 'snapshot').length, 0);
  });
});
