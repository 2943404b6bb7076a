// The Y.js provider on the real hub, in a document of kind `relay`: the clients bring each other up to date.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { toBase64 } from '../../js/yjs/base64.mjs';
import { Stock } from '../../js/yjs/stock.mjs';
import { greet, startActor, startHub, startProxy } from '../support/client-stage.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { Editor, converged, differenceOf } from '../support/yjs-stage.mjs';

const bytesOf = (messages) => messages.reduce((sum, { update }) => sum + JSON.stringify(update).length, 0);

describe('who comes into a relay', { timeout: 60_000 }, () => {
  test('gets what was there before the first connection of the other', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'written offline');
    const first = Editor.open(server, id, { doc });
    await first.isSynced();
    const second = Editor.open(server, id);
    await second.isSynced();
    assert.equal(second.text.toString(), 'written offline');
  });

  test('is answered by one of those who are there, with what it lacks and no more', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const early = [Editor.open(server, id)];
    await early[0].isSynced();
    early[0].text.insert(0, 'a long text '.repeat(2000));
    while (early.length < 5) early.push(Editor.open(server, id));
    for (const editor of early) await editor.isSynced();
    await converged(early.map(({ doc }) => doc));

    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(early[0].doc));
    early[0].text.insert(0, 'news ');
    await converged(early.map((editor) => editor.doc));
    const before = early.map((editor) => editor.sentOf('update').length);
    const late = Editor.open(server, id, { doc });
    await late.isSynced();
    assert.equal(late.text.toString(), early[0].text.toString());
    const sent = early.flatMap((editor, index) => editor.sentOf('update').slice(before[index]));
    assert.equal(sent.length, 1, 'one update for all');
    assert.ok(bytesOf(sent) < 200, `${bytesOf(sent)} characters`);
    assert.deepEqual(early.map((editor) => editor.answersTo(late)).sort(), [0, 0, 0, 0, 1]);
    assert.equal(late.sentOf('update').length, 0, 'what everybody has is not sent again');
  });

  test('with nothing to bring and nothing to get costs no update at all', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const first = Editor.open(server, id);
    await first.isSynced();
    first.text.insert(0, 'kept gone');
    first.text.delete(4, 5);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(first.doc));
    const sent = first.sentOf('update').length;
    const second = Editor.open(server, id, { doc });
    await second.isSynced();
    assert.deepEqual([first.sentOf('update').length - sent, second.sentOf('update').length], [0, 0]);
  });

  test('brings what the others lack', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const first = Editor.open(server, id);
    await first.isSynced();
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'from home');
    const second = Editor.open(server, id, { doc });
    await first.shows('from home');
    await second.isSynced();
  });

  test('at the same time as others has all of them whole in the end', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const editors = Array.from({ length: 12 }, (_, index) => {
      const doc = new Y.Doc();
      doc.getText('text').insert(0, `${index} `);
      return Editor.open(server, id, { doc });
    });
    await converged(
      editors.map(({ doc }) => doc),
      { timeoutMs: 20_000 },
    );
    for (const editor of editors) await editor.isSynced();
    assert.equal(editors[0].text.toString().trim().split(' ').length, 12);
  });

  test('is answered by the next where the one whose turn it is has gone silent', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const proxy = await startProxy(server);
    const early = [Editor.open(proxy, id), Editor.open(proxy, id)];
    for (const editor of early) await editor.isSynced();
    early[0].text.insert(0, 'still here');
    await early[1].shows('still here');
    const [silent, other] = early.sort((a, b) => a.id - b.id);
    proxy.linkOf(silent.clientID).cut('silence');
    const late = Editor.open(server, id);
    await late.isSynced();
    assert.equal(late.text.toString(), 'still here');
    assert.deepEqual([silent.answersTo(late), other.answersTo(late)], [0, 1]);
  });

  test('and may only read is brought up to date, and answers nobody', async () => {
    const [id, readers] = [uniqueId(), new Set()];
    const server = await startHub({
      session: async ({ url }) => ({ id: new URL(url, 'http://page').searchParams.get('clientID') }),
      access: async ({ user }) => (readers.has(user.id) ? 'read' : 'write'),
    });
    const writer = Editor.open(server, id);
    await writer.isSynced();
    writer.text.insert(0, 'to read');
    const clientID = uniqueId('reader');
    readers.add(clientID);
    const reader = Editor.open(server, id, { clientID });
    await reader.isSynced();
    assert.equal(reader.text.toString(), 'to read');
    reader.text.insert(0, 'not ');
    const late = Editor.open(server, id);
    await late.isSynced();
    assert.equal(late.text.toString(), 'to read');
    assert.equal(reader.sentOf('update').length, 0);
    assert.equal(reader.answersTo(late), 0);
  });
});

describe('what was edited in a relay', { timeout: 60_000 }, () => {
  test('while the connection was down is sent when it is back, once', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const proxy = await startProxy(server);
    const [a, b] = [Editor.open(proxy, id), Editor.open(server, id)];
    await a.isSynced();
    await b.isSynced();
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('a to notice', () => !a.provider.synced);
    a.text.insert(0, 'offline ');
    b.text.insert(0, 'online ');
    proxy.hubPort = server.port;
    await a.isSynced();
    await converged([a.doc, b.doc]);
    assert.equal(a.text.length, 'offline online '.length);
    assert.equal(b.client.messages('update').length, 1);
  });

  test('before a first connection that heard nobody reaches who came meanwhile', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const proxy = await startProxy(server);
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'from b ');
    const b = Editor.open(proxy, id, { doc, silenceMs: 600, answerTimeoutMs: 300 });
    b.client.on('status', ({ state }) => state === 'open' && proxy.done.silence === 0 && proxy.cutAll('silence'));
    await b.isSynced();
    const a = Editor.open(server, id);
    await a.isSynced();
    a.text.insert(0, 'from a ');
    await b.client.saw('recovered');
    // Who has been heard may go, before the others say again what they have.
    await until('b to be heard', () => b.provider.synced && b.provider.unacknowledged === 0);
    b.close();
    await until('a to have both', () => a.text.length === 'from a from b '.length);
    assert.equal(differenceOf([a.doc, b.doc]), null);
  });

  test('before a first connection, by one who found nobody, reaches who was away', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const proxy = await startProxy(server);
    const away = Editor.open(proxy, id);
    await away.isSynced();
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'written offline');
    const editor = Editor.open(server, id, { doc });
    await editor.isSynced();
    editor.text.insert(editor.text.length, ' and online');
    await until('the hub to have it', () => editor.provider.unacknowledged === 0);
    editor.close();
    proxy.hubPort = server.port;
    await away.client.saw('recovered');
    await away.shows('written offline and online');
  });

  test('before a first connection that heard the others late is compared with theirs', async () => {
    const awareness = new Awareness(new Y.Doc());
    const announcement = {
      client: awareness.clientID,
      update: toBase64(encodeAwarenessUpdate(awareness, [awareness.clientID])),
      whole: true,
      has: new Stock(awareness.doc).take(),
    };
    awareness.destroy();
    const at = await startActor((socket) => {
      greet(socket);
      // After who is asked for has taken itself to be alone, and so soon that it may have been said at any time.
      setTimeout(() => socket.send(JSON.stringify({ type: 'awareness', awareness: announcement })), 750);
    });
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'written offline');
    const editor = Editor.open(at, uniqueId(), { doc });
    await until('a second question', () => editor.sent.filter(({ awareness }) => awareness?.asks).length >= 2);
  });

  test('between disconnect() and connect() is not lost', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const [a, b] = [Editor.open(server, id), Editor.open(server, id)];
    await a.isSynced();
    await b.isSynced();
    a.provider.disconnect();
    await until('b to see a leave', () => b.present.length === 1);
    a.text.insert(0, 'in between');
    a.provider.connect();
    await b.shows('in between');
    await until('b to see a again', () => b.present.length === 2);
    await a.isSynced();
  });

  test('and not acknowledged before the hub has lost everything is not lost', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const proxy = await startProxy(server);
    const [a, b] = [Editor.open(proxy, id), Editor.open(proxy, id)];
    await a.isSynced();
    await b.isSynced();
    a.text.insert(0, 'before ');
    await b.shows('before ');
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('both to notice', () => !a.provider.synced && !b.provider.synced);
    a.text.insert(0, 'a alone ');
    b.doc.getMap('map').set('b', 'alone');
    await server.close();
    proxy.hubPort = (await startHub()).port;
    await a.client.saw('reload');
    await b.client.saw('reload');
    await converged([a.doc, b.doc]);
    assert.equal(b.text.toString(), 'a alone before ');
    assert.equal(a.doc.getMap('map').get('b'), 'alone');
  });

  test('by one who is asked by nobody reaches who was cut off longer than the hub remembers', async () => {
    const [server, id] = [await startHub({ historyMaxMessages: 5 }), uniqueId()];
    const proxy = await startProxy(server);
    const [a, b] = [Editor.open(proxy, id), Editor.open(server, id)];
    await a.isSynced();
    await b.isSynced();
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await until('a to notice', () => !a.provider.synced);
    for (let count = 0; count < 40; count += 1) b.text.insert(0, `${count} `);
    a.text.insert(0, 'mine ');
    await until('the hub to have them', () => b.provider.unacknowledged === 0);
    proxy.hubPort = server.port;
    const { reason } = await a.client.saw('reload');
    assert.equal(reason, 'HISTORY_GONE');
    await converged([a.doc, b.doc]);
    await a.isSynced();
    assert.match(a.text.toString(), /mine/);
  });

  for (const [what, edit, read] of [
    ['a text', (doc, value) => doc.getText('text').insert(0, value), (doc) => doc.getText('text').toString()],
    ['a single value', (doc, value) => doc.getMap('map').set('key', value), (doc) => doc.getMap('map').get('key')],
  ]) {
    test(`in one go as ${what} of more than a message arrives, and what follows it`, async () => {
      const [server, id] = [await startHub(), uniqueId()];
      const [a, b] = [Editor.open(server, id), Editor.open(server, id)];
      await a.isSynced();
      await b.isSynced();
      const value = 'é0123456789'.repeat(120_000);
      edit(a.doc, value);
      a.doc.getArray('array').push(['after']);
      await until('it to arrive', () => read(b.doc) === value && b.doc.getArray('array').length === 1);
      const late = Editor.open(server, id);
      await late.isSynced();
      assert.equal(read(late.doc), value);
      assert.deepEqual([a.faults, b.faults, late.faults], [[], [], []]);
    });
  }

  test('is not sent by who has only received it', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const editors = Array.from({ length: 4 }, () => Editor.open(server, id));
    for (const editor of editors) await editor.isSynced();
    for (const editor of editors) editor.text.insert(0, 'x');
    await converged(editors.map(({ doc }) => doc));
    assert.deepEqual(
      editors.map((editor) => editor.sentOf('update').length),
      [1, 1, 1, 1],
    );
  });

  test('with the provider as its origin stays here', async () => {
    const [server, id] = [await startHub(), uniqueId()];
    const [a, b] = [Editor.open(server, id), Editor.open(server, id)];
    await a.isSynced();
    await b.isSynced();
    const stored = new Y.Doc();
    stored.getText('text').insert(0, 'stored');
    Y.applyUpdate(a.doc, Y.encodeStateAsUpdate(stored), a.provider);
    Y.applyUpdate(b.doc, Y.encodeStateAsUpdate(stored), b.provider);
    a.text.insert(0, 'from here ');
    await b.shows('from here stored');
    assert.deepEqual([a.sentOf('update').length, b.sentOf('update').length], [1, 0]);
  });
});
