// Who is there, through the Y.js provider on the real hub: everybody is seen, and nobody says what another one has said.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import * as Y from 'yjs';
import { startHub, startProxy } from '../support/client-stage.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { Editor } from '../support/yjs-stage.mjs';

async function together(at, count, options) {
  const id = uniqueId();
  const editors = Array.from({ length: count }, () => Editor.open(at, id, options));
  for (const editor of editors) await editor.isSynced();
  await seeEachOther(editors);
  return { id, editors };
}

function seeEachOther(editors) {
  const ids = editors.map((editor) => editor.id).sort((a, b) => a - b);
  return until(
    () => `everybody to see ${ids}; there is ${JSON.stringify(editors.map(({ present }) => present))}`,
    () => editors.every(({ present }) => JSON.stringify(present) === JSON.stringify(ids)),
  );
}

const framesOf = (editors) => editors.reduce((sum, { sent }) => sum + sent.length, 0);

/** Resolves when everything that was sent so far has arrived everywhere. */
async function quiet(editors) {
  for (const { client } of editors) {
    const before = client.messages('session').length;
    client.send('session');
    await client.received('session', before + 1);
  }
}

describe('awareness', { timeout: 60_000 }, () => {
  test('of everybody is seen by everybody, and by who comes late', async () => {
    const server = await startHub();
    const { id, editors } = await together(server, 3);
    editors[0].provider.awareness.setLocalStateField('user', { name: 'Ada' });
    const late = Editor.open(server, id);
    await seeEachOther([...editors, late]);
    await until('the name', () => late.provider.awareness.getStates().get(editors[0].id).user?.name === 'Ada');
  });

  test('costs one message a change however many are there, and none that was not changed', async () => {
    const server = await startHub();
    const { editors } = await together(server, 8);
    await quiet(editors);
    await quiet(editors);
    const before = framesOf(editors);
    editors[3].provider.awareness.setLocalStateField('cursor', 1);
    await until('everybody to see it', () =>
      editors.every(({ provider }) => provider.awareness.getStates().get(editors[3].id).cursor === 1),
    );
    await quiet(editors);
    assert.equal(framesOf(editors) - before, 1 + editors.length, 'one, and what each was asked by the test');
  });

  test('that moves a thousand times leaves at the pace of the client', async () => {
    const server = await startHub();
    const { editors } = await together(server, 2);
    const before = editors[0].sentOf('awareness').length;
    for (let cursor = 1; cursor <= 1000; cursor += 1)
      editors[0].provider.awareness.setLocalStateField('cursor', cursor);
    await until('the last', () => editors[1].provider.awareness.getStates().get(editors[0].id).cursor === 1000);
    assert.ok(editors[0].sentOf('awareness').length - before <= 2);
  });

  for (const [how, leave] of [
    ['destroy()', (editor) => editor.close()],
    ['disconnect()', (editor) => editor.provider.disconnect()],
    ['the end of its document', (editor) => editor.doc.destroy()],
  ]) {
    test(`of one that leaves by ${how} is gone at once`, async () => {
      const server = await startHub();
      const { editors } = await together(server, 3);
      const before = Date.now();
      leave(editors[2]);
      await seeEachOther(editors.slice(0, 2));
      assert.ok(Date.now() - before < 2000);
    });
  }

  test('of one that is gone without a word is gone after 30 s, and nobody says so to others', async () => {
    const server = await startHub();
    const proxy = await startProxy(server);
    const id = uniqueId();
    const editors = [Editor.open(server, id), Editor.open(server, id), Editor.open(proxy, id)];
    for (const editor of editors) await editor.isSynced();
    await seeEachOther(editors);
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await quiet(editors.slice(0, 2));
    const before = framesOf(editors.slice(0, 2));
    // As if those 30 s were over; y-protocols looks every 3 s.
    for (const { provider } of editors.slice(0, 2)) provider.awareness.meta.get(editors[2].id).lastUpdated -= 31_000;
    await seeEachOther(editors.slice(0, 2));
    assert.equal(framesOf(editors.slice(0, 2)), before);
  });

  test('without a connection shows nobody but oneself, and everybody again after it', async () => {
    const server = await startHub();
    const proxy = await startProxy(server);
    const { editors } = await together(proxy, 3);
    proxy.hubPort = 1;
    proxy.cutAll('FIN');
    for (const editor of editors) await until('to be alone', () => editor.present.length === 1);
    proxy.hubPort = server.port;
    await seeEachOther(editors);
  });

  test('of a document that gets another provider is seen again at once', async () => {
    const server = await startHub();
    const { id, editors } = await together(server, 2);
    for (let cursor = 1; cursor <= 50; cursor += 1) editors[0].provider.awareness.setLocalStateField('cursor', cursor);
    const { doc } = editors[0];
    editors[0].close();
    await seeEachOther(editors.slice(1));
    const again = Editor.open(server, id, { doc });
    again.provider.awareness.setLocalStateField('cursor', 51);
    await until('it to be seen', () => editors[1].provider.awareness.getStates().get(again.id)?.cursor === 51);
  });

  test('that is too large to send is said', async () => {
    const server = await startHub();
    const { editors } = await together(server, 1);
    editors[0].provider.awareness.setLocalStateField('picture', 'p'.repeat(2_000_000));
    await until('the fault', () => editors[0].faults.length > 0);
    assert.equal(editors[0].faults[0].code, 'AWARENESS_TOO_LARGE');
  });
});

describe('the provider', { timeout: 60_000 }, () => {
  test('says how it stands as providers of Y.js do', async () => {
    const server = await startHub();
    const editor = Editor.open(server, uniqueId(), { provider: { connect: false } });
    const said = [];
    for (const event of ['sync', 'synced', 'status']) editor.provider.on(event, (detail) => said.push([event, detail]));
    let once = 0;
    editor.provider.once('sync', () => (once += 1));
    assert.equal(editor.provider.status, 'disconnected');
    editor.provider.connect();
    await editor.isSynced();
    editor.provider.disconnect();
    const status = (text) => ['status', { status: text }];
    assert.deepEqual(said, [
      status('connecting'),
      status('connected'),
      ['synced', true],
      ['sync', true],
      ['synced', false],
      ['sync', false],
      status('disconnected'),
    ]);
    assert.equal(once, 1);
  });

  test('on a client that is connected already takes it up', async () => {
    const server = await startHub();
    const id = uniqueId();
    const first = Editor.open(server, id);
    await first.isSynced();
    first.text.insert(0, 'there');
    const second = Editor.open(server, id);
    await second.isSynced();
    second.provider.destroy();
    const { FabricProvider } = await import('../../js/yjs.mjs');
    const doc = new Y.Doc();
    const provider = new FabricProvider(doc, second.client);
    await until('it to be synced', () => provider.synced);
    assert.equal(doc.getText('text').toString(), 'there');
    provider.destroy();
  });

  test('refuses what is no document, no client and no option', async () => {
    const { FabricProvider } = await import('../../js/yjs.mjs');
    const client = { fits: () => true };
    const invalid = { name: 'HubError', code: 'HUB_INVALID_ARGUMENT' };
    assert.throws(() => new FabricProvider({}, client), invalid);
    assert.throws(() => new FabricProvider(new Y.Doc(), {}), invalid);
    assert.throws(() => new FabricProvider(new Y.Doc(), client, { conect: true }), invalid);
    assert.throws(() => new FabricProvider(new Y.Doc(), client, { connect: 1 }), invalid);
    assert.throws(() => new FabricProvider(new Y.Doc(), client, { awareness: {} }), invalid);
  });
});
