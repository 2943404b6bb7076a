// Two thousand clients connect, talk and leave, and nothing of them is left.
import assert from 'node:assert/strict';
import test from 'node:test';
import { HubChild, overEveryWay } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

const CLIENTS = 2000;
const A_DOCUMENT = 20;
const AT_ONCE = 100;
const MIB = 1024 * 1024;
const ROUNDS = 8;
/** A round that leaves less than this, 4 KiB a client, leaves nothing of the clients. */
const GROWTH_MIB = 8;

async function inBatches(items, deed) {
  for (let start = 0; start < items.length; start += AT_ONCE) {
    await Promise.all(items.slice(start, start + AT_ONCE).map(deed));
  }
}

/** All of them, from connect to leave. Every second one leaves without a word. */
async function visit(server) {
  const members = Array.from({ length: CLIENTS }, (_, index) => ({
    documentId: `document-${Math.floor(index / A_DOCUMENT)}`,
    index,
  }));
  await inBatches(members, async (member) => {
    member.client = await server.connect(member.documentId, `client-${member.index}`);
  });
  const full = await server.state();
  assert.deepEqual([full.fabric, full.documents], [CLIENTS, CLIENTS / A_DOCUMENT]);
  for (const { client, documentId, index } of members) client.send({ type: 'update', documentId, update: index });
  await inBatches(members, ({ client }) => client.receivedAll('update', A_DOCUMENT - 1));
  for (const { client, index } of members) {
    const first = Math.floor(index / A_DOCUMENT) * A_DOCUMENT;
    const others = Array.from({ length: A_DOCUMENT }, (_, offset) => first + offset).filter((other) => other !== index);
    assert.deepEqual(
      client
        .all('update')
        .map((message) => message.update)
        .sort((a, b) => a - b),
      others,
    );
  }
  for (const { client, index } of members) {
    if (index % 2) client.socket.terminate();
    else client.socket.close(1000);
  }
  await until('all to have left', () => members.every(({ client }) => client.closed));
  return full;
}

overEveryWay(
  (at) => {
    test(`${CLIENTS} clients connect, talk and leave: counts, descriptors and memory return`, async (t) => {
      const { server } = at;
      const memory = [];
      let descriptors = Infinity;
      for (let round = 0; round < ROUNDS; round += 1) {
        const full = await visit(server);
        await server.emptied();
        server.dropClients();
        const limit = descriptors;
        const after = await until('the descriptors to return', async () => {
          const state = await server.state();
          return state.descriptors <= Math.min(limit, 100) ? state : null;
        });
        descriptors = Math.min(descriptors, after.descriptors);
        memory.push(after.rss / MIB);
        t.diagnostic(
          `round ${round}: ${(full.rss / MIB).toFixed(0)} MiB with ${CLIENTS} clients, ${memory.at(-1).toFixed(0)} after them`,
        );
        // A process keeps some memory for good: code, heaps, what the allocator has cut up. It must come to an end.
        // Over TLS that takes the most rounds, with npm ws in the hub's place just as many: it is Node's TLS.
        if (round > 0 && memory.at(-1) < memory.at(-2) + GROWTH_MIB) return;
      }
      assert.fail(`memory grows with every ${CLIENTS} clients: ${memory.map((mib) => mib.toFixed(0)).join(', ')} MiB`);
    });
  },
  { Server: HubChild, nodeArgs: ['--expose-gc'] },
);
