// The conversation of an editor that was written for captify's older server: no clientID in the URL, messages without
// documentId, `pullUpdates`, `presence`. What the older server answered is in `<`, and what the hub adds is allowed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { HubServer } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { apply, word } from '../support/text-documents.mjs';

const NOTE = { documentId: 'note-1', spaceId: 'space-1' };

/** `>` is sent, `<` comes; `me` stands for the id that the hub gave. A message that comes has at least these fields. */
const CONVERSATION = [
  ['<', { type: 'connected', clientID: 'me', documentId: 'note-1' }],
  ['>', { type: 'sync', documentId: 'note-1', version: 0 }],
  ['<', { type: 'synced', documentId: 'note-1', version: 3 }],
  ['<', { type: 'sync', doc: { words: ['a', 'b', 'c'] }, version: 3 }],
  ['>', { type: 'steps', version: 3, steps: [word('d')], clientID: 'me' }],
  ['<', { type: 'steps', version: 3, steps: [word('d')], clientIDs: ['me'] }],
  ['>', { type: 'steps', version: 3, steps: [word('late')], clientID: 'me' }],
  ['<', { type: 'error', error: 'Version not current', code: 'VERSION_MISMATCH' }],
  ['>', { type: 'pullUpdates', version: 3 }],
  ['<', { type: 'steps', version: 3, steps: [word('d')], clientIDs: ['me'] }],
  ['>', { type: 'pullUpdates', version: 4 }],
  ['<', { type: 'upToDate', version: 4 }],
  ['>', { type: 'pullUpdates', version: 1 }],
  ['<', { type: 'error', error: 'History no longer available' }],
];

test('an editor of the older server is answered as it was there', async (context) => {
  const loads = [];
  const load = (about) => {
    loads.push(about);
    return { doc: { words: ['a', 'b', 'c'] }, version: 3 };
  };
  const server = await HubServer.start({ documents: { kind: 'steps', store: false, load, apply } });
  context.after(() => server.close());
  const editor = server.open(`/ws/fabric?${new URLSearchParams(NOTE)}`);
  const { clientID } = await editor.received(({ type }) => type === 'connected');
  const named = (message) => JSON.parse(JSON.stringify(message).replaceAll('"me"', JSON.stringify(clientID)));
  let read = 0;
  for (const [direction, message] of CONVERSATION) {
    if (direction === '>') {
      editor.send(named(message));
      continue;
    }
    await until('an answer', () => editor.messages.length > read, { everyMs: 2 });
    const came = editor.messages[read];
    read += 1;
    for (const [field, value] of Object.entries(named(message))) assert.deepEqual(came[field], value, field);
  }
  assert.deepEqual(loads[0].parameters, { spaceId: 'space-1' });

  const other = server.open(`/ws/fabric?${new URLSearchParams(NOTE)}`);
  await other.received(({ type }) => type === 'connected');
  const presence = { userId: 'u1', userName: 'Ann', userColor: '#abc', selection: { from: 1, to: 2 } };
  editor.send({ type: 'presence', clientID, ...presence });
  const shown = await other.received(({ type }) => type === 'presence');
  assert.deepEqual([shown.clientID, shown.userName, shown.selection], [clientID, 'Ann', { from: 1, to: 2 }]);
  editor.drop();
  assert.equal((await other.received(({ type }) => type === 'user_left')).clientID, clientID);
});
