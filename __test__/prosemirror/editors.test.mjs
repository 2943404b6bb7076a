// Editors of one document: what they show, what they say of themselves, and what becomes of what was written in time.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { redo, undo } from 'prosemirror-history';
import { Step } from 'prosemirror-transform';
import { start } from '../support/authority.mjs';
import { CUTS } from '../support/chaos-proxy.mjs';
import { later, startProxy } from '../support/client-stage.mjs';
import { Editor, paragraphs, schema } from '../support/editors.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

async function authority(options) {
  const server = await start(options);
  later(() => server.close());
  return server;
}

function edit(server, documentId, options) {
  const editor = new Editor(server.base, documentId, options);
  later(() => editor.close());
  return editor;
}

async function editors(server, count, options) {
  const documentId = uniqueId();
  const all = Array.from({ length: count }, () => edit(server, documentId, options));
  await Promise.all(all.map((editor) => editor.isSettled()));
  return all;
}

describe('editors of one document', () => {
  test('show what the hub has, and may not be written in before', async () => {
    const server = await authority({ doc: paragraphs('from the hub', 'more').toJSON() });
    const editor = edit(server, uniqueId());
    const editable = () => editor.state.plugins.find(({ props }) => props.editable).props.editable(editor.state);
    assert.deepEqual([editor.status.state, editor.status.version, editable()], ['connecting', null, false]);
    await editor.shows('from the hub\nmore');
    await editor.isSettled();
    assert.deepEqual([editor.status.version, editor.status.unconfirmed, editable()], [0, 0, true]);
  });

  test('that write at the same time end up with one document, and lose nothing', async () => {
    const server = await authority();
    const all = await editors(server, 3);
    for (let round = 0; round < 20; round += 1) all.forEach((editor, index) => editor.type(`<${index}.${round}>`));
    await until('one text', () => all.every(({ text, status }) => text === all[0].text && status.unconfirmed === 0));
    for (let index = 0; index < 3; index += 1) {
      const rounds = [...all[0].text.matchAll(new RegExp(`<${index}\\.(\\d+)>`, 'g'))].map(([, round]) =>
        Number(round),
      );
      assert.deepEqual(
        rounds,
        Array.from({ length: 20 }, (_, round) => round),
        'each once, in the order it was written',
      );
    }
    assert.deepEqual(
      all.flatMap(({ errors }) => errors),
      [],
    );
  });

  test('say saving until the hub has it, stored until the app has saved it, and then saved', async () => {
    const server = await authority();
    const documentId = uniqueId();
    const editor = edit(server, documentId);
    await editor.isSettled();
    editor.type('a');
    assert.equal(editor.status.state, 'saving');
    await editor.is('stored');
    server.tell(documentId, { type: 'saved', version: editor.status.version });
    await editor.is('saved');
    editor.type('b');
    await editor.is('stored');
    const told = editor.statuses.map(({ state }) => state);
    const changes = told.filter((state, index) => state !== told[index - 1]);
    assert.deepEqual(changes.slice(changes.indexOf('saving')), ['saving', 'stored', 'saved', 'saving', 'stored']);
  });

  test('are given what an agent writes, and an agent on an old version is refused', async () => {
    const server = await authority();
    const documentId = uniqueId();
    const editor = edit(server, documentId);
    await editor.isSettled();
    const { steps } = editor.state.tr.insertText('from the agent', 1);
    const batch = { version: 0, steps: steps.map((step) => step.toJSON()), clientID: 'agent' };
    assert.deepEqual(await server.submit(documentId, batch), { version: 1 });
    await editor.shows('from the agent');
    assert.equal(await server.submit(documentId, batch), null);
  });

  test('undo what they have written themselves, around what others wrote meanwhile', async () => {
    const server = await authority();
    const [mine, other] = await editors(server, 2);
    mine.type('mine');
    await other.shows('mine');
    other.type('before ', 1);
    other.type(' after');
    await mine.shows('before mine after');
    mine.do(undo);
    await other.shows('before  after');
    mine.do(redo);
    await other.shows('before mine after');
  });

  test('cannot undo the loading of the document, nor what others wrote', async () => {
    const server = await authority({ doc: paragraphs('loaded').toJSON() });
    const [mine, other] = await editors(server, 2);
    other.type('!');
    await mine.shows('loaded!');
    assert.equal(undo(mine.state), false);
  });

  test('of one clientID, as two windows of one user, take nothing of each other for their own', async () => {
    const server = await authority();
    const [first, second] = await editors(server, 2, { clientID: 'both' });
    first.type('first ');
    second.type('second ');
    await until('one text', () => first.text === second.text && first.text.length === 13);
  });

  test('that come with the id of before keep what they wrote then', async () => {
    const server = await authority();
    const documentId = uniqueId();
    const before = edit(server, documentId, { clientID: 'same' });
    await before.isSettled();
    before.type('written before');
    await before.isSettled();
    before.close();
    const after = edit(server, documentId, { clientID: 'same' });
    await after.shows('written before');
  });

  test('send a large change in parts that fit, and say where one alone does not', async () => {
    const server = await authority();
    const [editor, other] = await editors(server, 2, { maxMessageBytes: 600 });
    for (let word = 0; word < 50; word += 1) editor.type(`word${word} `);
    await other.shows(editor.text);
    editor.type('x'.repeat(700));
    await editor.is('failed');
    assert.equal(editor.errors[0].code, 'STEP_TOO_LONG');
    assert.equal(editor.status.code, 'STEP_TOO_LONG');
  });

  test('of who may only read say so once, and are sent on what others write', async () => {
    const server = await authority({ reader: 'reader' });
    const documentId = uniqueId();
    const reader = edit(server, documentId, { clientID: 'reader' });
    const writer = edit(server, documentId);
    // The hub says it at once, the control when it is tried.
    await Promise.all([reader.is('stored', 'saved', 'readOnly'), writer.isSettled()]);
    reader.type('never');
    await reader.is('readOnly');
    reader.type(' nor this');
    writer.type('seen');
    await until('the text', () => reader.text.includes('seen'));
    assert.ok(reader.errors.length <= 1 && reader.errors.every(({ code }) => code === 'READ_ONLY'));
    assert.equal(writer.text, 'seen');
  });
});

describe('an editor whose connection is cut', () => {
  for (const how of CUTS) {
    test(`by ${how} keeps what is written meanwhile, and sends it once`, async () => {
      const server = await authority();
      const documentId = uniqueId();
      const proxy = await startProxy(server);
      const cut = edit(proxy, documentId, { silenceMs: 50, answerTimeoutMs: 200 });
      const other = edit(server, documentId);
      await Promise.all([cut.isSettled(), other.isSettled()]);
      proxy.hubPort = 1;
      proxy.cutAll(how);
      cut.type('offline ');
      await cut.is('offline');
      cut.type('and on ');
      other.type('online ', 1);
      await other.isSettled();
      proxy.hubPort = server.port;
      await until('one text', () => cut.text === other.text && cut.status.unconfirmed === 0);
      assert.deepEqual(cut.text.split(' ').sort(), ['', 'and', 'offline', 'on', 'online']);
      assert.deepEqual(cut.reloads, []);
    });
  }

  test('at any byte on either way has what it wrote in the document once', async () => {
    const server = await authority();
    for (const way of ['afterUp', 'afterDown']) {
      const proxy = await startProxy(server);
      for (let bytes = 300, round = 0; bytes < 1000; bytes += 23, round += 1) {
        let cuts = 0;
        proxy.plan = () => (cuts++ === 0 ? { [way]: bytes, how: CUTS[round % 2] } : {});
        const documentId = uniqueId();
        const editor = edit(proxy, documentId);
        await editor.isSettled();
        for (const word of ['one ', 'two ', 'three ']) {
          editor.type(word);
          await until('an answer', () => editor.status.unconfirmed === 0 || editor.status.state === 'offline', {
            everyMs: 1,
          });
        }
        await editor.isSettled();
        const other = edit(server, documentId);
        await other.shows('one two three ');
        assert.equal(editor.text, other.text, `${way} ${bytes}`);
        editor.close();
        other.close();
      }
    }
  });

  test('for longer than the hub remembers is given the document anew, and keeps what it had not sent', async () => {
    const doc = paragraphs('first', 'middle', 'last').toJSON();
    const server = await authority({ doc, keep: 2, apply: applied });
    const documentId = uniqueId();
    const proxy = await startProxy(server);
    const away = edit(proxy, documentId);
    const other = edit(server, documentId);
    await Promise.all([away.isSettled(), other.isSettled()]);
    proxy.hubPort = 1;
    proxy.cutAll('RST');
    await away.is('offline');
    away.type(' of mine', 14); // after "middle"
    for (let count = 0; count < 5; count += 1) {
      other.type('!');
      await other.isSettled();
    }
    proxy.hubPort = server.port;
    await away.shows('first!!!!!\nmiddle of mine\nlast');
    await other.shows(away.text);
    const [{ before, ...reload }] = away.reloads;
    assert.deepEqual(reload, { reason: 'HISTORY_GONE', uncertain: 0, dropped: 0 });
    assert.equal(before.textContent, 'firstmiddle of minelast');
    away.do(undo);
    await other.shows('first!!!!!\nmiddle\nlast');
  });

  test('of a hub that has forgotten its versions shows what the hub has, and says what it showed', async () => {
    const first = await start();
    const second = await authority({ doc: paragraphs('older').toJSON() });
    const proxy = await startProxy(first);
    const editor = edit(proxy, uniqueId());
    await editor.isSettled();
    editor.type('newer');
    await editor.isSettled();
    proxy.hubPort = second.port;
    await first.close();
    await editor.shows('older');
    assert.equal(editor.reloads[0].reason, 'OTHER_EPOCH');
    assert.equal(editor.reloads[0].before.textContent, 'newer');
    editor.type(', and on');
    await editor.isSettled();
    assert.equal(editor.text, 'older, and on');
  });
});

function applied(doc, steps) {
  const apply = (node, step) => Step.fromJSON(schema, step).apply(node).doc;
  return steps.reduce(apply, schema.nodeFromJSON(doc)).toJSON();
}
