// The process is killed: clients of documents that a store keeps come back to what it had shown them, and nobody reloads.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startProcess } from '../support/authority.mjs';
import { begin, later, startProxy } from '../support/client-stage.mjs';

/** A server that is killed and started again, and a way to it for each client. */
async function killed(options) {
  const server = await startProcess(options);
  later(() => server.close());
  const ways = [await startProxy(server), await startProxy(server)];
  return {
    ways,
    kill: () => server.kill(),
    async restart() {
      await server.restart();
      for (const way of ways) way.hubPort = server.port;
    },
  };
}

const insert = (text) => ({ stepType: 'replace', from: 1, to: 1, slice: { content: [{ type: 'text', text }] } });

test('editors are sent the steps that they missed, their own too, and go on', async () => {
  const { ways, kill, restart } = await killed();
  const [a, b] = ['a', 'b'].map((clientID, at) => begin(ways[at], { documentId: 'd', clientID }));
  for (const client of [a, b]) await client.saw('connected');
  a.submit('steps', { version: 0, steps: [insert('1')] });
  for (const client of [a, b]) await client.received('steps');
  // What a writes now b does not see before the process is killed.
  ways[1].hubPort = 1;
  ways[1].cutAll('RST');
  for (const version of [1, 2]) {
    a.submit('steps', { version, steps: [insert(String(version + 1))] });
    await a.received('steps', version + 1);
  }
  await kill();
  await restart();
  for (const client of [a, b]) {
    await client.saw('recovered');
    assert.deepEqual(client.all('reload'), []);
    const steps = await client.received('steps', 3);
    assert.deepEqual(
      steps.map(({ offset, version, clientID, steps: [{ slice }] }) => [
        offset,
        version,
        clientID,
        slice.content[0].text,
      ]),
      [1, 2, 3].map((offset) => [offset, offset - 1, 'a', String(offset)]),
    );
  }
  b.submit('steps', { version: 3, steps: [insert('4')] });
  for (const client of [a, b]) assert.equal((await client.received('steps', 4))[3].offset, 4);
});

test('updates that were missed are sent, one that nobody has acknowledged is kept once', async () => {
  const { ways, kill, restart } = await killed({ kind: 'updates' });
  const [a, b] = ['a', 'b'].map((clientID, at) => begin(ways[at], { documentId: 'd', clientID }));
  for (const client of [a, b]) await client.saw('connected');
  a.send('update', 'one');
  await b.received('update');
  await a.saw('acknowledged');
  ways[1].hubPort = 1;
  ways[1].cutAll('RST');
  a.send('update', 'two');
  await a.saw('acknowledged', 2);
  await kill();
  a.send('update', 'three');
  await restart();
  for (const client of [a, b]) await client.saw('recovered');
  const updates = await b.received('update', 3);
  assert.deepEqual(
    updates.map(({ offset, update }) => [offset, update]),
    [
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ],
  );
  for (const client of [a, b]) assert.deepEqual(client.all('reload'), []);
  assert.deepEqual(a.messages('update'), [], 'nobody is sent its own');
});

test('it may be killed as often as it likes', async () => {
  const { ways, kill, restart } = await killed({ kind: 'updates' });
  const [a, b] = ['a', 'b'].map((clientID, at) => begin(ways[at], { documentId: 'd', clientID }));
  for (const client of [a, b]) await client.saw('connected');
  for (let time = 1; time <= 3; time += 1) {
    a.send('update', `before ${time}`);
    await kill();
    a.send('update', `behind ${time}`);
    await restart();
    for (const client of [a, b]) await client.saw('recovered', time);
    await b.received('update', 2 * time);
  }
  const offsets = b.messages('update').map(({ offset }) => offset);
  assert.deepEqual(offsets, [1, 2, 3, 4, 5, 6]);
  for (const client of [a, b]) assert.deepEqual(client.all('reload'), []);
});
