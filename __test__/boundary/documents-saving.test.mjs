// How documents with an authority are loaded and saved, and what happens where a hook fails.
import assert from 'node:assert/strict';
import test from 'node:test';
import { editDocument, getDocument, submitSteps } from '../../js/index.js';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { App, apply, storePath, word } from '../support/text-documents.mjs';

/** A hub whose documents are all of kind `steps`, for one test. */
async function start(context, documents) {
  const server = await HubServer.start({ documents: { kind: 'steps', store: false, apply, ...documents } });
  context.after(() => server.close());
  return server;
}

const quick = { saveAfterMs: 30, saveWithinMs: 200 };

async function saved(client, version) {
  return client.received((message) => message.type === 'saved' && message.version >= version);
}

test('a document is saved once nobody has edited it for a while, and its clients are told', async (context) => {
  const app = new App();
  const server = await start(context, { load: app.load, save: app.save, ...quick });
  const documentId = uniqueId();
  app.documents.set(documentId, { doc: { words: ['a'] }, version: 4 });
  const client = await server.connect(documentId, 'ann');
  client.send({ type: 'steps', version: 4, steps: [word('b'), word('c')] });
  await saved(client, 6);
  const [{ signal, ...about }] = app.saves(documentId);
  assert.equal(signal.aborted, false);
  assert.deepEqual(about, {
    documentId,
    doc: { words: ['a', 'b', 'c'] },
    steps: [word('b'), word('c')],
    version: 6,
    previousVersion: 4,
    reason: 'quiet',
    editors: ['ann'],
  });
  client.send({ type: 'steps', version: 6, steps: [word('d')] });
  await saved(client, 7);
  const second = app.saves(documentId)[1];
  assert.deepEqual([second.previousVersion, second.version, second.steps], [6, 7, [word('d')]]);
});

test('somebody who types without a pause is saved all the same', async (context) => {
  const app = new App();
  const server = await start(context, { save: app.save, saveAfterMs: 10_000, saveWithinMs: 100 });
  const documentId = uniqueId();
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('x')] });
  await saved(client, 1);
  assert.equal(app.saves(documentId)[0].reason, 'overdue');
});

test('a save that fails is tried until it succeeds, and never twice at once', async (context) => {
  let [running, most, calls] = [0, 0, 0];
  let isAway = true;
  const seen = [];
  const save = async ({ version, editors }) => {
    calls += 1;
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running -= 1;
    seen.push([version, editors]);
    if (isAway) throw new Error('the database is away');
  };
  const server = await start(context, { save, ...quick });
  const documentId = uniqueId();
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('x')] });
  await until('the first save', () => calls > 0);
  const other = await server.connect(documentId, 'b');
  other.send({ type: 'steps', version: 1, steps: [word('y')] });
  await other.receivedAll('steps', 1);
  const before = calls;
  await until('it to be tried again', () => calls > before);
  isAway = false;
  await saved(client, 2);
  assert.equal(most, 1);
  assert.deepEqual(seen.at(-1), [2, ['a', 'b']]);
});

test('a save that hangs is given up and tried again', async (context) => {
  let calls = 0;
  const aborted = [];
  const save = ({ signal }) => {
    calls += 1;
    if (calls > 1) return undefined;
    signal.addEventListener('abort', () => aborted.push(calls));
    return new Promise(() => {});
  };
  const server = await start(context, { save, saveTimeoutMs: 50, ...quick });
  const documentId = uniqueId();
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('x')] });
  await saved(client, 1);
  assert.deepEqual(aborted, [1]);
});

test('what is not saved when the hub is closed is saved before it has ended', async (context) => {
  const app = new App();
  const server = await start(context, { save: app.save, saveAfterMs: 60_000, saveWithinMs: 60_000 });
  const documentId = uniqueId();
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('x')] });
  await client.receivedAll('steps', 1);
  await server.hub.close({ timeoutMs: 5000 });
  assert.deepEqual(app.documents.get(documentId), { doc: { words: ['x'] }, version: 1 });
  assert.equal(app.saves(documentId)[0].reason, 'shutdown');
});

test('a document that cannot be loaded lets nobody in, and is never an empty one', async (context) => {
  const answers = {
    throws: () => {
      throw new Error('throttled');
    },
    rejects: async () => {
      throw new Error('throttled');
    },
    hangs: () => new Promise(() => {}),
    'answers nothing': () => undefined,
    'answers no document': () => ({ version: 3 }),
    'answers a bad version': () => ({ doc: {}, version: -1 }),
    'answers what has no JSON': () => ({ doc: { at: new Map() }, version: 1 }),
  };
  const app = new App();
  const load = ({ documentId }) => answers[documentId]();
  const server = await start(context, { load, save: app.save, loadTimeoutMs: 1000, ...quick });
  for (const documentId of Object.keys(answers)) {
    const client = server.open(`/ws/fabric?${new URLSearchParams({ documentId, clientID: 'a' })}`);
    assert.equal((await client.closing()).code, 1013, documentId);
    assert.deepEqual(client.messages, [], documentId);
    await assert.rejects(getDocument(documentId), { code: 'HUB_UNAVAILABLE' }, documentId);
    await assert.rejects(submitSteps(documentId, { version: 0, steps: [word('x')] }), { code: 'HUB_UNAVAILABLE' });
    answers[documentId] = () => ({ doc: { words: [documentId] }, version: 2 });
    assert.equal((await server.connect(documentId)).messages[0].version, 2, 'the next one who comes tries again');
  }
  assert.deepEqual(app.calls.save, []);
});

test('a document is loaded once however many open it, and its user and parameters are told', async (context) => {
  const calls = [];
  let answer;
  const load = ({ signal: _, ...about }) => {
    calls.push(about);
    return new Promise((resolve) => (answer = resolve));
  };
  const server = await start(context, { load });
  const query = new URLSearchParams({ documentId: 'once', clientID: 'a', spaceId: 's 1' });
  const clients = Array.from({ length: 20 }, () => server.open(`/ws/fabric?${query}`));
  const read = getDocument('once');
  await until('load to be called', () => calls.length > 0);
  answer({ doc: { words: [] }, version: 5 });
  for (const client of clients) await client.received(({ type }) => type === 'connected');
  assert.equal((await read).version, 5);
  assert.equal(calls.length, 1);
  assert.deepEqual(Object.keys(calls[0]), ['documentId', 'user', 'parameters']);
});

test('steps that do not fit are cut out, and everybody goes on with what was good', async (context) => {
  const app = new App();
  const server = await start(context, { save: app.save, saveAfterMs: 100, saveWithinMs: 500 });
  const documentId = uniqueId();
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('good')] });
  client.send({ type: 'steps', version: 1, steps: [word('bad')] });
  client.send({ type: 'steps', version: 2, steps: [word('behind it')] });
  assert.equal((await client.received(({ type }) => type === 'reload')).reason, 'STEPS_SET_ASIDE');
  client.send({ type: 'sync', version: 3 });
  const { doc, version } = await client.received(({ type }) => type === 'sync');
  assert.deepEqual([doc, version], [{ words: ['good'] }, 4]);
  await saved(client, 4);
  assert.deepEqual(app.documents.get(documentId), { doc: { words: ['good'] }, version: 4 });
  client.send({ type: 'steps', version: 4, steps: [word('new')] });
  await saved(client, 5);
  await assert.rejects(
    editDocument(documentId, ({ doc: now }) => {
      assert.deepEqual(now, { words: ['good', 'new'] });
      throw new Error('the app changed its mind');
    }),
    /changed its mind/,
  );
});

test('an idle document is loaded anew when it is opened again', async (context) => {
  const app = new App();
  const server = await start(context, { load: app.load, save: app.save, idleMs: 20, ...quick, apply });
  const documentId = uniqueId();
  await submitSteps(documentId, { version: 0, steps: [word('x')] });
  await until('the save', () => app.saves(documentId).length > 0);
  assert.deepEqual(await getDocument(documentId), { doc: { words: ['x'] }, version: 1 });
});

test('without apply the app is given the steps, and route handlers, too', async (context) => {
  const app = new App();
  const server = await start(context, { load: app.load, save: app.save, apply: undefined, ...quick });
  const documentId = uniqueId();
  app.documents.set(documentId, { doc: { words: ['a'] }, version: 1 });
  const client = await server.connect(documentId, 'a');
  client.send({ type: 'steps', version: 1, steps: [word('b')] });
  await saved(client, 2);
  const { doc, steps } = app.saves(documentId)[0];
  assert.deepEqual([doc, steps], [undefined, [word('b')]]);
  const read = await getDocument(documentId);
  assert.deepEqual(read, { doc: { words: ['a'] }, docVersion: 1, version: 2, steps: [word('b')] });
  await assert.rejects(
    editDocument(documentId, () => null),
    { code: 'HUB_NO_APPLY' },
  );
});

test('a document is where it was after the process was started again', async (context) => {
  const store = await storePath(context);
  const app = new App();
  const options = { store, load: app.load, save: app.save, saveAfterMs: 60_000, saveWithinMs: 60_000 };
  const documentId = uniqueId();
  app.save = async () => {
    throw new Error('away');
  };
  const first = await start(context, { ...options, save: (about) => app.save(about) });
  const client = await first.connect(documentId, 'a');
  client.send({ type: 'steps', version: 0, steps: [word('x')], id: 1 });
  client.send({ type: 'steps', version: 1, steps: [word('y')], id: 2 });
  await client.receivedAll('steps', 2);
  await first.hub.close({ timeoutMs: 1000 });

  const saves = [];
  const second = await start(context, { ...options, save: (about) => void saves.push(about), saveAfterMs: 20 });
  await until('what was left to be saved', () => saves.length > 0);
  assert.deepEqual(
    [saves[0].documentId, saves[0].doc, saves[0].version, saves[0].reason],
    [documentId, { words: ['x', 'y'] }, 2, 'restart'],
  );
  const again = await second.connect(documentId, 'a');
  assert.equal(again.messages[0].version, 2);
  again.send({ type: 'sync', version: 1 });
  const [steps] = await again.receivedAll('steps', 1);
  assert.deepEqual([steps.version, steps.steps, steps.clientIDs], [1, [word('y')], ['a']]);
});

test('a copy that somebody else has changed goes on, and the steps that were not saved are set aside', async (context) => {
  for (const resolution of [undefined, 'loaded', 'log']) {
    const store = await storePath(context);
    const documentId = uniqueId();
    const failing = () => {
      throw new Error('away');
    };
    const first = await start(context, { store, save: failing, load: () => ({ doc: { words: ['old'] }, version: 5 }) });
    await submitSteps(documentId, { version: 5, steps: [word('mine')] });
    await first.hub.close({ timeoutMs: 1000 });

    const asked = [];
    const conflict = resolution && (({ signal: _, ...about }) => (asked.push(about), resolution));
    const saves = [];
    const second = await start(context, {
      store,
      conflict,
      load: () => ({ doc: { words: ['theirs'] }, version: 9 }),
      save: (about) => void saves.push(about),
      ...quick,
    });
    const { doc, version } = await getDocument(documentId);
    if (resolution === 'log') {
      assert.deepEqual([doc, version], [{ words: ['old', 'mine'] }, 6]);
      // A conditional update of the app succeeds where its row has this version.
      await until('the save', () => saves.length > 0);
      assert.deepEqual([saves[0].version, saves[0].previousVersion], [6, 9]);
    } else {
      assert.deepEqual([doc, version], [{ words: ['theirs'] }, 9]);
    }
    if (resolution) {
      assert.deepEqual(asked, [
        {
          documentId,
          loaded: { doc: { words: ['theirs'] }, version: 9 },
          log: { doc: { words: ['old', 'mine'] }, steps: [word('mine')], version: 6, savedVersion: 5 },
        },
      ]);
    }
    await second.hub.close({ timeoutMs: 1000 });
  }
});

test('a save that succeeded while nobody could note it is known to be ours', async (context) => {
  const store = await storePath(context);
  const documentId = uniqueId();
  const app = new App();
  let hang = true;
  const save = async (about) => {
    await app.save(about);
    if (hang) await new Promise(() => {});
  };
  const options = { store, load: app.load, save, saveTimeoutMs: 60_000, ...quick };
  const first = await start(context, options);
  await submitSteps(documentId, { version: 0, steps: [word('x')] });
  await until('the save', () => app.saves(documentId).length > 0);
  await first.hub.close({ timeoutMs: 1000 });
  hang = false;
  const second = await start(context, {
    ...options,
    conflict: () => assert.fail('there is none'),
  });
  assert.deepEqual(await getDocument(documentId), { doc: { words: ['x'] }, version: 1 });
  await second.hub.close({ timeoutMs: 1000 });
});
