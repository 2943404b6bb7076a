// What an editor says to its hub, and what it makes of the answers: turns, refusals, a document that came anew, places of others.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { TextSelection } from 'prosemirror-state';
import { start } from '../support/authority.mjs';
import { greet, later, startActor, startHub } from '../support/client-stage.mjs';
import { Editor, paragraphs } from '../support/editors.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

/**
 * An editor of a hub that says what the test has it say; `heard` is what came, `say` goes to the newest connection. `epochs`
 * are those in which its connections begin, without which it remembers nobody.
 */
async function acted(answer = {}, { epochs = [], ...options } = {}) {
  const hub = { heard: [], connections: 0 };
  const base = await startActor((socket) => {
    hub.connections += 1;
    hub.say = (message) => socket.send(JSON.stringify(message));
    hub.cut = () => socket.terminate();
    socket.on('message', (data) => {
      const message = JSON.parse(data);
      hub.heard.push(message);
      answer[message.type]?.(message, hub);
    });
    const epoch = epochs[hub.connections - 1];
    greet(socket, { kind: 'steps', version: 0, ...(epoch && { token: 'token', epoch, offset: 5 }) });
    if (!epoch || hub.connections === 1) return;
    const isSame = epochs[hub.connections - 2] === epoch;
    hub.say(isSame ? { type: 'recovered', from: 5, to: 5, upTo: 0 } : { type: 'reload', reason: 'OTHER_EPOCH' });
  });
  const editor = new Editor(base, uniqueId(), options);
  later(() => editor.close());
  hub.steps = () => hub.heard.filter(({ type }) => type === 'steps');
  return { hub, editor };
}

const doc = paragraphs('text').toJSON();
const gives =
  (document, version) =>
  (_, { say }) => {
    say({ type: 'synced', version });
    say({ type: 'sync', doc: document, version });
  };
const mismatch = (version, retryInMs) => ({ type: 'error', code: 'VERSION_MISMATCH', version, retryInMs });

describe('an editor and its turn', () => {
  test('one batch is under way, and what is written meanwhile goes with the next', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    for (const letter of 'abc') editor.type(letter);
    await until('steps', () => hub.steps().length > 0, { everyMs: 1 });
    const [{ version, steps, id }] = hub.steps();
    assert.deepEqual([version, steps.length, id], [7, 1, undefined]);
    hub.say({ type: 'steps', version: 7, steps, clientIDs: [editor.client.clientID] });
    await until('steps', () => hub.steps().length === 2, { everyMs: 1 });
    assert.deepEqual([hub.steps()[1].version, hub.steps()[1].steps.length], [8, 2]);
  });

  test('who is refused waits as long as it is told, and sends all that was written by then', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    editor.type('a');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    const began = performance.now();
    hub.say(mismatch(7, 150));
    await editor.client.received('error');
    editor.type('b');
    await until('steps', () => hub.steps().length === 2, { everyMs: 1 });
    assert.ok(performance.now() - began >= 149);
    assert.equal(hub.steps()[1].steps.length, 2);
  });

  test('who is refused without a wait sends again at once, rebased over what came before', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    editor.type('a');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    const { steps } = editor.state.tr.insertText('1234', 1);
    hub.say({ type: 'steps', version: 7, steps: steps.map((step) => step.toJSON()), clientIDs: ['other'] });
    hub.say(mismatch(8));
    await until('steps', () => hub.steps().length === 2, { everyMs: 1 });
    const [{ from }] = hub.steps()[1].steps;
    assert.deepEqual([hub.steps()[1].version, from], [8, hub.steps()[0].steps[0].from + 4]);
  });

  test('who is refused behind steps that were accepted meanwhile has all of them, and asks for nothing', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    editor.type('a');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    const steps = ['1', '2'].map((text) => editor.state.tr.insertText(text, 1).steps[0].toJSON());
    hub.say({ type: 'steps', version: 7, steps, clientIDs: ['other', 'third'] });
    hub.say(mismatch(8));
    await until('steps', () => hub.steps().length === 2, { everyMs: 1 });
    assert.equal(hub.steps()[1].version, 9);
    assert.equal(hub.heard.filter(({ type }) => type === 'sync').length, 1);
  });

  test('who is refused without having been sent what is missing asks for it', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    editor.type('a');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    hub.say({ type: 'error', error: 'Version not current', code: 'VERSION_MISMATCH' });
    await until('a question', () => hub.heard.filter(({ type }) => type === 'sync').length === 2, { everyMs: 1 });
    assert.equal(hub.heard.findLast(({ type }) => type === 'sync').version, 7);
  });

  test('a batch that is refused for good is not sent again', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    editor.type('a');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    hub.say({ type: 'error', code: 'BAD_SHAPE', message: 'Invalid message format' });
    await editor.is('failed');
    editor.type('b');
    assert.deepEqual([editor.status.code, hub.steps().length], ['BAD_SHAPE', 1]);
  });
});

describe('an editor and the whole document', () => {
  test('what was sent and not answered is not sent again, and what was written after it is', async () => {
    const later = paragraphs('the hub has the text').toJSON();
    let answers = 0;
    const sync = (message, hub) => (answers++ === 0 ? gives(doc, 7) : gives(later, 90))(message, hub);
    const { hub, editor } = await acted({ sync });
    await editor.isSettled();
    editor.type(' sent');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    editor.type(' unsent');
    hub.cut();
    await until('steps', () => hub.steps().length === 2, { everyMs: 1 });
    assert.equal(editor.text, 'the hub has the text unsent');
    const [{ uncertain, dropped, before }] = editor.reloads;
    assert.deepEqual([uncertain, dropped, before.textContent], [1, 0, 'text sent unsent']);
    assert.deepEqual([hub.steps()[1].version, hub.steps()[1].steps.length], [90, 1]);
  });

  test('what was sent and not answered stays where the hub has it, once', async () => {
    let answers = 0;
    const with_ = paragraphs('text sent').toJSON();
    const sync = (message, hub) => (answers++ === 0 ? gives(doc, 7) : gives(with_, 8))(message, hub);
    const { hub, editor } = await acted({ sync });
    await editor.isSettled();
    editor.type(' sent');
    await until('steps', () => hub.steps().length === 1, { everyMs: 1 });
    hub.cut();
    await editor.isSettled();
    assert.deepEqual([editor.text, editor.status.unconfirmed], ['text sent', 0]);
  });

  test('a reload that the hub says is followed, with its reason', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    hub.say({ type: 'reload', reason: 'BATCH_REFUSED' });
    await until('the reload', () => editor.reloads.length === 1);
    assert.equal(editor.reloads[0].reason, 'BATCH_REFUSED');
    assert.equal(hub.heard.at(-1).version, undefined);
  });

  test('is asked for whole where another epoch may have given the version to other steps', async () => {
    const epochs = ['0011223344556677', '8899aabbccddeeff', '8899aabbccddeeff'];
    let asked = 0;
    const lost = paragraphs('text and what Redis has lost').toJSON();
    const other = paragraphs('text and what came instead').toJSON();
    const sync = (message, hub) => {
      asked += 1;
      // The second connection is cut before it has the document.
      if (asked === 2) hub.cut();
      else gives(asked === 1 ? lost : other, 7)(message, hub);
    };
    const { hub, editor } = await acted({ sync }, { epochs });
    await editor.isSettled();
    hub.cut();
    await until('the reload', () => editor.reloads.length === 1);
    assert.deepEqual([editor.text, editor.reloads[0].reason], ['text and what came instead', 'OTHER_EPOCH']);
    assert.deepEqual(
      hub.heard.filter(({ type }) => type === 'sync').map(({ version }) => version),
      [undefined, undefined, undefined],
    );
  });

  test('one that nobody asked for changes nothing', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    hub.say({ type: 'sync', doc: paragraphs('other').toJSON(), version: 3 });
    hub.say({ type: 'saved', version: 7 });
    await editor.is('saved');
    assert.equal(editor.text, 'text');
  });

  test('one that the schema does not know is not shown, and may not be written in', async () => {
    const { editor } = await acted({ sync: gives({ type: 'doc', content: [{ type: 'table' }] }, 7) });
    await editor.is('failed');
    assert.deepEqual([editor.status.code, editor.text], ['BAD_DOCUMENT', '']);
  });

  test('is asked for once where steps do not fit, and where they still do not that is said', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    const bad = {
      type: 'steps',
      version: 7,
      steps: [{ stepType: 'replace', from: 500, to: 501 }],
      clientIDs: ['other'],
    };
    hub.say(bad);
    await until('the reload', () => editor.reloads.length === 1);
    assert.equal(editor.reloads[0].reason, 'STEPS_DO_NOT_FIT');
    assert.equal(editor.status.state, 'stored');
    assert.deepEqual(
      editor.errors.map(({ code }) => code),
      ['STEPS_DO_NOT_FIT'],
    );
  });

  test('is missing on a relay, which is said', async () => {
    const hub = await startHub();
    const editor = new Editor(hub.base, uniqueId());
    later(() => editor.close());
    await editor.is('failed');
    assert.equal(editor.status.code, 'WRONG_KIND');
  });
});

describe('where the others are', () => {
  const user = { userId: 'u1', userName: 'Ada', userColor: '#b4232a' };

  async function editors(count) {
    const server = await start({ doc: paragraphs('0123456789').toJSON() });
    later(() => server.close());
    const documentId = uniqueId();
    const all = Array.from({ length: count }, () => new Editor(server.base, documentId));
    for (const editor of all) later(() => editor.close());
    await Promise.all(all.map((editor) => editor.isSettled()));
    return all;
  }

  const select = (editor, anchor, head) =>
    editor.do((state, dispatch) => dispatch(state.tr.setSelection(TextSelection.create(state.doc, anchor, head))));

  const places = (editor) => editor.peers.map(({ userName, anchor, head }) => [userName, anchor, head]);

  const sees = (editor, ...wanted) =>
    until(
      () => `${JSON.stringify(wanted)}; it is ${JSON.stringify(places(editor))}`,
      () => JSON.stringify(places(editor)) === JSON.stringify(wanted),
      { everyMs: 5 },
    );

  test('is shown with name and selection, moves with the text, and is gone with its client', async () => {
    const [ada, noor] = await editors(2);
    select(ada, 3, 6);
    ada.session.show(user);
    await sees(noor, ['Ada', 3, 6]);
    noor.type('--', 1);
    await sees(noor, ['Ada', 5, 8]);
    ada.close();
    await sees(noor);
  });

  test('stays where somebody else writes, and moves on with what its own user writes', async () => {
    const [ada, noor, kofi] = await editors(3);
    select(noor, 3, 3);
    noor.session.show({ ...user, userName: 'Noor' });
    await sees(ada, ['Noor', 3, 3]);
    select(kofi, 3, 3);
    kofi.session.show({ ...user, userName: 'Kofi' });
    await sees(ada, ['Noor', 3, 3], ['Kofi', 3, 3]);
    noor.type('--', 3);
    await until('one text', () => [ada, kofi].every(({ text }) => text === noor.text && text.includes('--')));
    await sees(ada, ['Noor', 5, 5], ['Kofi', 3, 3]);
    assert.deepEqual([noor.state.selection.head, kofi.state.selection.head], [5, 3], 'which is where they are');
  });

  test('is right at once although the steps before it come later or are still missing', async () => {
    const [ada, noor] = await editors(2);
    noor.type('>>', 1); // not seen by the other one, nor confirmed
    ada.type('abc', 11);
    select(ada, 14, 14);
    ada.session.show(user);
    await until('one text', () => ada.text === noor.text && noor.text === '>>0123456789abc');
    await sees(noor, ['Ada', 16, 16]);
    ada.type('xyz', 5);
    select(ada, 6, 6); // in the middle of what the other one has not got
    ada.session.show(user);
    await until('one text', () => ada.text === noor.text && noor.text === '>>01xyz23456789abc');
    await sees(noor, ['Ada', 6, 6]);
  });

  test('is nothing where a message is no place', async () => {
    const { hub, editor } = await acted({ sync: gives(doc, 7) });
    await editor.isSettled();
    for (const selection of [undefined, null, 'here', { anchor: -1, head: 2 }, { anchor: 1.5, head: 1 }])
      hub.say({ type: 'presence', clientID: 'x', userName: 'X', selection });
    hub.say({ type: 'presence', clientID: 'far', userName: 'Far', selection: { anchor: 1, head: 9999 } });
    await sees(editor, ['Far', 1, editor.state.doc.content.size]);
  });
});
