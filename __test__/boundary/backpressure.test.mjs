// A client that stops reading costs a bounded amount, and only itself.
import assert from 'node:assert/strict';
import test from 'node:test';
import { broadcastSteps, getConnectionCount } from '../../js/index.js';
import { HubChild, overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { TEXT } from '../support/raw-client.mjs';

/** Far more than any rate allows is sent here, which would only slow it down. */
const limits = false;

const CHUNK = 'x'.repeat(100_000);
const MIB = 1024 * 1024;
/** More than all buffers between the hub and a client that does not read, several times over. */
const PLENTY = 1000;

/** Sends updates, ten at a time so that the reader keeps up, until `isEnough` or `limit` of them; answers how many. */
async function pour(documentId, sender, reader, isEnough, limit = PLENTY) {
  let seen = reader.all('update').length;
  let sent = 0;
  while (sent < limit && !(await isEnough())) {
    for (let index = 0; index < 10; index += 1) {
      sender.send({ type: 'update', documentId, update: `${sent + index} ${CHUNK}` });
    }
    sent += 10;
    seen += 10;
    await reader.receivedAll('update', seen);
  }
  return sent;
}

overEveryWay(
  (at) => {
    async function scene(stalledClients = 1) {
      const documentId = uniqueId();
      const sender = await at.server.connect(documentId, 'sender');
      const reader = await at.server.connect(documentId, 'reader');
      const stalled = await Promise.all(
        Array.from({ length: stalledClients }, async (_, index) => {
          const raw = await at.server.raw();
          await raw.open(documentId, `stalled-${index}`);
          raw.socket.pause();
          return raw;
        }),
      );
      return { documentId, sender, reader, stalled };
    }

    test('a client that stops reading is closed with 1013, and the others receive everything', async () => {
      const {
        documentId,
        sender,
        reader,
        stalled: [raw],
      } = await scene();
      const sent = await pour(documentId, sender, reader, () => getConnectionCount(documentId) < 3);
      assert.ok(sent < PLENTY, 'it was never closed');
      await pour(documentId, sender, reader, () => false, 50);
      const order = reader.all('update').map((message) => Number(message.update.split(' ', 1)[0]));
      assert.deepEqual(order, [...Array(sent).keys(), ...Array(50).keys()]);
      raw.socket.resume();
      const got = [];
      let frame = await raw.frame();
      for (; frame.opcode === TEXT; frame = await raw.frame())
        got.push(JSON.parse(frame.payload).update.split(' ', 1)[0]);
      assert.equal(frame.payload.readUInt16BE(0), 1013);
      assert.deepEqual(got.map(Number), [...got.keys()], 'what it got before the close has gaps');
      assert.deepEqual([sender.closed, reader.closed], [null, null]);
      raw.drop();
    });

    test('a client that stops reading what route handlers send is closed with 1013', async () => {
      const documentId = uniqueId();
      const reader = await at.server.connect(documentId);
      const raw = await at.server.raw();
      await raw.open(documentId);
      raw.socket.pause();
      let sent = 0;
      for (; sent < PLENTY && getConnectionCount(documentId) === 2; sent += 10) {
        for (let index = 0; index < 10; index += 1) await broadcastSteps(documentId, [CHUNK], 'change');
        await reader.receivedAll('steps', sent + 10);
      }
      assert.ok(sent < PLENTY, 'it was never closed');
      assert.equal(await broadcastSteps(documentId, [], 'after'), 1);
      raw.socket.resume();
      assert.equal((await raw.closeFrame()).code, 1013);
      raw.drop();
    });

    test('awareness and selection without end do not close a client that stops reading, and the newest arrives', async () => {
      const {
        documentId,
        sender,
        reader,
        stalled: [raw],
      } = await scene();
      const pad = 'x'.repeat(4000);
      const rounds = 100;
      const each = 100;
      for (let round = 0; round < rounds; round += 1) {
        for (let index = 0; index < each; index += 1) {
          const type = index % 2 ? 'awareness' : 'selection';
          sender.send({ type, documentId, [type]: { number: round * each + index, pad } });
        }
        await reader.received((message) => message.awareness?.number === round * each + each - 1);
      }
      assert.equal(getConnectionCount(documentId), 3);
      sender.send({ type: 'update', documentId, update: 'last' });
      await reader.receivedAll('update', 1);
      raw.socket.resume();
      const numbers = { awareness: [-1], selection: [-1] };
      for (;;) {
        const message = JSON.parse((await raw.frameOf(TEXT)).payload);
        if (message.type === 'update') break;
        numbers[message.type].push(message[message.type].number);
      }
      for (const [type, last] of [
        ['awareness', rounds * each - 1],
        ['selection', rounds * each - 2],
      ]) {
        assert.equal(numbers[type].at(-1), last, `the newest ${type} is missing`);
        assert.deepEqual(
          numbers[type],
          [...numbers[type]].sort((a, b) => a - b),
          `${type} went backwards`,
        );
      }
      raw.drop();
    });
  },
  { maxOutboxBytes: 256 * 1024, limits },
);

overEveryWay(
  (at) => {
    test('a client that never reads again is let go of, whatever its kernel still holds', async () => {
      const documentId = uniqueId();
      const sender = await at.server.connect(documentId, 'sender');
      const reader = await at.server.connect(documentId, 'reader');
      const raw = await at.server.raw();
      await raw.open(documentId, 'stalled');
      raw.socket.pause();
      await pour(documentId, sender, reader, () => getConnectionCount(documentId) < 3);
      await raw.otherEndGone({ timeoutMs: 60_000 });
      raw.drop();
      assert.deepEqual([sender.closed, reader.closed], [null, null]);
    });
  },
  { maxOutboxBytes: 256 * 1024, heartbeatIntervalMs: 1000, limits },
);

overEveryWay(
  (at) => {
    test('twenty clients that stop reading leave the process within bounds', async (t) => {
      const documentId = uniqueId();
      const sender = await at.server.connect(documentId, 'sender');
      const reader = await at.server.connect(documentId, 'reader');
      const stalled = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const raw = await at.server.raw();
          await raw.open(documentId, `stalled-${index}`);
          raw.socket.pause();
          return raw;
        }),
      );
      const before = (await at.server.state()).rss;
      let most = before;
      let left = 22;
      const sent = await pour(documentId, sender, reader, async () => {
        const state = await at.server.state();
        most = Math.max(most, state.rss);
        left = state.fabric;
        return left === 2;
      });
      const grown = (most - before) / MIB;
      t.diagnostic(`${sent} messages of 100 kB, ${left} of 22 left, grown by ${grown.toFixed(0)} MiB at most`);
      assert.equal(left, 2);
      assert.ok(grown < 20 * 4 + 100, `grown by ${grown} MiB`);
      await until('the sockets to go', async () => {
        for (const raw of stalled) raw.drop();
        return (await at.server.state()).fabric === 2;
      });
    });
  },
  { Server: HubChild, nodeArgs: ['--expose-gc'], limits },
);
