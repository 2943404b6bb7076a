// A hub that was stopped and continued, as by `docker pause` or a suspended machine: nobody pays for its own pause.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { HubChild, overEveryWay, uniqueId, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { PING } from '../support/raw-client.mjs';

const CLIENTS = 60;

/** Stops the hub right after its pings went out, so that the pongs lie unread when it goes on. */
async function pause(server, clients, ms) {
  const pings = clients.reduce((sum, { pings }) => sum + pings, 0);
  await until('pings', () => clients.reduce((sum, each) => sum + each.pings, 0) >= pings + CLIENTS / 3);
  server.service.child.kill('SIGSTOP');
  await delay(ms);
  server.service.child.kill('SIGCONT');
}

overEveryWay(
  (at) => {
    test('clients that answer pings stay, and one that does not is still found', async () => {
      const documentId = uniqueId();
      const connecting = Array.from({ length: CLIENTS }, () => at.server.connect(documentId));
      const clients = (await Promise.all(connecting)).map((client) => {
        const counted = { client, pings: 0 };
        client.socket.on('ping', () => (counted.pings += 1));
        return counted;
      });
      for (const ms of [600, 2500]) {
        await pause(at.server, clients, ms);
        const before = clients.map(({ pings }) => pings);
        await until('all to be pinged again', () => clients.every(({ pings }, index) => pings > before[index] + 1));
        const closed = clients.filter(({ client }) => client.closed);
        assert.equal(closed.length, 0, `after a pause of ${ms} ms`);
      }
      const silent = await at.server.raw();
      await silent.open(documentId, 'silent');
      await silent.frameOf(PING);
      await silent.gone();
    });
  },
  { ways: WAYS.slice(0, 2), Server: HubChild, heartbeatIntervalMs: 500 },
);
