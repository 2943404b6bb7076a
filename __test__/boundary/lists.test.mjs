// Lists of connections and documents, one document's inside, the latest security events; and what can be done with one of them.
import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import {
  connections,
  disconnectConnection,
  documents,
  inspectDocument,
  saveDocument,
  securityEvents,
  submitSteps,
} from '../../js/index.js';
import { recordingHandler } from '../support/handlers.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { apply, word } from '../support/text-documents.mjs';

/** A name that would be more than text in a page, in JSON or in a log. */
const ODD = '<img src=x onerror=alert(1)> "\\ é\u{1F642}';

let server;
const app = { saves: [], save: async () => {} };
before(async () => {
  server = await HubServer.start({
    threads: 3,
    limits: false,
    session: ({ url }) => {
      const userId = new URL(url, 'http://host').searchParams.get('user');
      return userId ? { id: userId } : null;
    },
    access: ({ user }) => (user.id === 'reader' ? 'read' : 'write'),
    documents: {
      kind: (documentId) => (documentId.startsWith('steps') ? 'steps' : 'relay'),
      store: false,
      apply,
      save: (about) => app.save(about),
      saveAfterMs: 60_000,
      saveWithinMs: 60_000,
    },
  });
});
after(() => server.close());

async function connect(documentId, clientID, user = 'ann') {
  const client = server.open(`/ws/fabric?${new URLSearchParams({ documentId, clientID, user })}`);
  await client.received(({ type }) => type === 'connected');
  return client;
}

const clients = ({ connections: listed }) => listed.map(({ clientId }) => clientId);

describe('connections', () => {
  test('are told with who they are, since when, and what waits for them', async () => {
    const documentId = uniqueId();
    const before = Date.now();
    await connect(documentId, ODD, 'reader');
    const { total, connections: listed } = await connections({ filter: { document: documentId } });
    const [{ id, connectedAt, idleMs, ...rest }] = listed;
    assert.equal(total, 1);
    assert.match(id, /^\d+$/);
    assert.ok(connectedAt >= before - 5 && connectedAt <= Date.now(), `${connectedAt}`);
    assert.ok(idleMs >= 0 && idleMs < 10_000, `${idleMs}`);
    assert.deepEqual(rest, {
      clientId: ODD,
      path: '/ws/fabric',
      document: documentId,
      userId: 'reader',
      access: 'read',
      address: '127.0.0.1',
      waitingBytes: 0,
      slow: false,
    });
  });

  test('are cut to the limit and counted all the same, the newest first, or the oldest', async () => {
    const [documentId, other] = [uniqueId(), uniqueId()];
    for (let index = 0; index < 5; index += 1) await connect(index % 2 ? documentId : other, `c${index}`, 'sorted');
    const filter = { user: 'sorted' };
    const newest = await connections({ limit: 2, filter });
    assert.deepEqual([newest.total, clients(newest)], [5, ['c4', 'c3']]);
    const oldest = await connections({ limit: 3, sort: 'oldest', filter });
    assert.deepEqual([oldest.total, clients(oldest)], [5, ['c0', 'c1', 'c2']]);
    assert.deepEqual(clients(await connections({ filter: { ...filter, document: documentId } })), ['c3', 'c1']);
  });

  test('of handlers are among them, by their path', async () => {
    const { path, called } = recordingHandler();
    server.open(`${path}?user=handled`);
    await called('onConnect');
    const { connections: listed } = await connections({ filter: { path } });
    assert.deepEqual(
      listed.map(({ userId, document, clientId }) => [userId, document, clientId]),
      [['handled', undefined, undefined]],
    );
  });

  test('that have sent nothing for longest come first where that is asked for, and age is a filter', async () => {
    const documentId = uniqueId();
    const first = await connect(documentId, 'first');
    await connect(documentId, 'second');
    const filter = { document: documentId };
    await until('the clock of the thread to move', async () => {
      first.send({ type: 'sync', documentId });
      await first.synced(documentId);
      const { connections: listed } = await connections({ sort: 'idle', filter });
      return listed[0].clientId === 'second' && listed[0].idleMs > listed[1].idleMs;
    });
    assert.equal((await connections({ filter: { ...filter, olderThanMs: 600_000 } })).total, 0);
    assert.equal((await connections({ filter: { ...filter, olderThanMs: 0 } })).total, 2);
    assert.equal((await connections({ filter: { ...filter, slow: true } })).total, 0);
    assert.equal((await connections({ filter: { ...filter, address: '10.0.0.1' } })).total, 0);
    assert.equal((await connections({ filter: { ...filter, address: '127.0.0.1' } })).total, 2);
  });

  test('are closed one at a time, and each once', async () => {
    const documentId = uniqueId();
    const [one, two] = [await connect(documentId, 'one'), await connect(documentId, 'two')];
    const { connections: listed } = await connections({ sort: 'oldest', filter: { document: documentId } });
    assert.equal(await disconnectConnection(listed[0].id, 4001, 'Enough'), true);
    assert.deepEqual(await one.closing(), { code: 4001, reason: 'Enough' });
    assert.equal(await disconnectConnection(listed[0].id), false);
    assert.equal(await disconnectConnection('999999999'), false);
    assert.equal(two.closed, null);
    assert.equal((await connections({ filter: { document: documentId } })).total, 1);
  });
});

describe('documents', () => {
  const ids = ({ documents: listed }) => listed.map(({ id }) => id);

  test('are told with kind, members and where they stand', async () => {
    const documentId = `${uniqueId()} ${ODD}`;
    const [a, b] = [await connect(documentId, 'a'), await connect(documentId, 'b')];
    a.send({ type: 'update', documentId, update: 'x' });
    const { offset } = await b.received(({ type }) => type === 'update');
    const { epoch } = a.messages[0];
    const { total, documents: listed } = await documents({ filter: { document: documentId } });
    const [{ historyBytes, ...rest }] = listed;
    assert.equal(total, 1);
    assert.ok(historyBytes > 50, `${historyBytes}`);
    const path = '/ws/fabric';
    const about = { id: documentId, path, kind: 'relay', state: 'live', members: 2, waitingBytes: 0 };
    assert.deepEqual(rest, { ...about, offset, epoch });
  });

  test('are sorted and filtered, by the beginning of their ids, kind and members', async () => {
    const prefix = uniqueId('sorted');
    for (const [index, members] of [2, 3, 1].entries()) {
      for (let member = 0; member < members; member += 1) {
        await connect(`${prefix}-${index}`, `c${member}`, index === 2 ? 'bob' : 'ann');
      }
    }
    const filter = { document: prefix };
    assert.deepEqual(
      ids(await documents({ filter })),
      [1, 0, 2].map((index) => `${prefix}-${index}`),
    );
    assert.deepEqual(ids(await documents({ filter, sort: 'id', limit: 2 })), [`${prefix}-0`, `${prefix}-1`]);
    assert.deepEqual(ids(await documents({ filter: { ...filter, user: 'bob' } })), [`${prefix}-2`]);
    assert.equal((await documents({ filter: { ...filter, kind: 'steps' } })).total, 0);
    assert.equal((await documents({ filter: { ...filter, kind: 'relay' }, limit: 1 })).total, 3);
    assert.equal((await documents({ filter: { ...filter, slow: true } })).total, 0);
    assert.equal((await documents({ filter: { ...filter, olderThanMs: 0 }, sort: 'waiting' })).total, 3);
  });

  test('that are not saved are among them, also where nobody has them open, with since when', async () => {
    const documentId = uniqueId('steps');
    const before = Date.now();
    let answer;
    app.save = () => new Promise((resolve, reject) => (answer = { resolve, reject }));
    await submitSteps(documentId, { version: 0, steps: [word('a'), word('b')] });
    const listed = async () => (await documents({ sort: 'unsaved', filter: { document: documentId } })).documents[0];
    const unsaved = await listed();
    assert.deepEqual([unsaved.kind, unsaved.state, unsaved.version, unsaved.members], ['steps', 'live', 2, 0]);
    assert.ok(unsaved.unsavedSince >= before - 5 && unsaved.unsavedSince <= Date.now(), `${unsaved.unsavedSince}`);

    const saving = saveDocument(documentId);
    await until('the app to be asked', () => answer);
    const meanwhile = await listed();
    assert.equal(meanwhile.state, 'saving');
    // It is counted back from now, in whole milliseconds.
    assert.ok(Math.abs(meanwhile.unsavedSince - unsaved.unsavedSince) <= 2, `${meanwhile.unsavedSince}`);
    answer.reject(new Error('the disk of the app is full'));
    await assert.rejects(saving, { code: 'HUB_UNAVAILABLE', message: /the disk of the app is full/ });
    answer = undefined;
    const again = saveDocument(documentId);
    await until('the app to be asked again', () => answer);
    answer.resolve();
    assert.equal(await again, 'saved');
    assert.deepEqual([(await listed()).state, (await listed()).unsavedSince], ['live', undefined]);
    assert.equal(await saveDocument(documentId), 'nothing');
    assert.equal(await saveDocument(uniqueId()), 'nothing');
  });

  test('show their members, with what each may do and how far it is', async () => {
    const documentId = uniqueId();
    await connect(documentId, 'writer');
    await connect(documentId, 'reader', 'reader');
    const inside = await inspectDocument(documentId);
    const member = ({ clientId, userId, access, position }) => [clientId, userId, access, position];
    assert.deepEqual(inside.memberList.map(member).sort(), [
      ['reader', 'reader', 'read', 0],
      ['writer', 'ann', 'write', 0],
    ]);
    assert.deepEqual([inside.id, inside.members, inside.historyEntries], [documentId, 2, 0]);
    assert.equal('setAside' in inside, false);
    const steps = uniqueId('steps');
    app.save = async () => {};
    await submitSteps(steps, { version: 0, steps: [word('a')] });
    const { kind, version, setAside, memberList } = await inspectDocument(steps);
    assert.deepEqual([kind, version, setAside, memberList], ['steps', 1, [], []]);
    assert.equal(await inspectDocument(uniqueId()), null);
  });
});

test('the latest security events come, the newest first', async () => {
  const client = server.open('/ws/fabric?documentId=d&clientID=c');
  await until('the refusal', () => client.closed);
  const [latest] = securityEvents({ limit: 1 });
  assert.equal(latest.code, 'SESSION_MISSING');
  assert.equal(latest.address, '127.0.0.1');
  assert.ok(Math.abs(Date.parse(latest.time) - Date.now()) < 10_000, latest.time);
  const other = server.open('/ws/fabric?documentId=d&clientID=c&user=ann');
  await other.received(({ type }) => type === 'connected');
  other.send({ type: 'no such thing' });
  await other.received(({ type }) => type === 'error');
  assert.deepEqual(
    securityEvents({ limit: 2 }).map(({ code }) => code),
    ['BAD_MESSAGE', 'SESSION_MISSING'],
  );
});

test('what is asked for in another way is refused by name', async () => {
  const refused = (message) => ({ code: 'HUB_INVALID_ARGUMENT', message });
  for (const limit of [0, 1001, 1.5, '10', null]) {
    await assert.rejects(connections({ limit }), refused(/^limit/), `${limit}`);
    await assert.rejects(documents({ limit }), refused(/^limit/), `${limit}`);
    assert.throws(() => securityEvents({ limit }), refused(/^limit/), `${limit}`);
  }
  await assert.rejects(connections({ sort: 'members' }), refused(/^sort must be one of newest/));
  await assert.rejects(documents({ sort: 'newest' }), refused(/^sort must be one of members/));
  await assert.rejects(connections({ filter: { kind: 'relay' } }), refused(/^filter\.kind/));
  await assert.rejects(connections({ filter: { address: 'nowhere' } }), refused(/^filter\.address/));
  await assert.rejects(connections({ filter: { user: '' } }), refused(/^filter\.user/));
  await assert.rejects(connections({ filter: { slow: 'yes' } }), refused(/^filter\.slow/));
  await assert.rejects(documents({ filter: { olderThanMs: -1 } }), refused(/^filter\.olderThanMs/));
  await assert.rejects(documents({ filter: { kind: 'yjs' } }), refused(/^filter\.kind/));
  for (const id of ['', 'x', '-1', '1.5', 1, undefined, '1'.repeat(20)]) {
    await assert.rejects(disconnectConnection(id), refused(/^connectionId/), `${id}`);
  }
  await assert.rejects(disconnectConnection('1', 1005), refused(/^code/));
  await assert.rejects(saveDocument(''), refused(/^documentId/));
  await assert.rejects(inspectDocument('\n'), refused(/^documentId/));
});
