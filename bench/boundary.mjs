// What a call of the hub's API costs Node's thread: `node bench/boundary.mjs`. Nobody is connected but where it says so,
// so that what is timed is the way over the boundary and back.
import http from 'node:http';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { broadcastSteps, getConnectionCount } from '../js/index.js';
import { createHub } from '../js/server.js';
import { table } from './lib/table.mjs';
import { median } from './lib/statistics.mjs';

const REPETITIONS = 20_000;
const ROUNDS = 9;
/** So that what waits to be sent stays small. */
const AT_ONCE = 100;

const server = http.createServer();
const hub = createHub();
hub.attach(server);
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address();
const client = new WebSocket(`ws://127.0.0.1:${port}/ws/fabric?documentId=open&clientID=c`);
await once(client, 'message');
let received = 0;
client.on('message', () => (received += 1));

const steps = (bytes) => [{ stepType: 'replace', from: 1, to: 1, slice: { content: ['s'.repeat(bytes)] } }];
const [small, large] = [steps(200), steps(10_240)];
const calls = {
  "getConnectionCount('open')": () => getConnectionCount('open'),
  'broadcastSteps, nobody there': () => broadcastSteps('closed', small, 'id'),
  'broadcastSteps of 200 bytes to one member': () => broadcastSteps('open', small, 'id'),
  'broadcastSteps of 10 KB to one member': () => broadcastSteps('open', large, 'id'),
};

const rows = [];
for (const [what, call] of Object.entries(calls)) {
  const times = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    let spent = 0;
    for (let done = 0; done < REPETITIONS / ROUNDS; done += AT_ONCE) {
      const pending = [];
      const begun = process.hrtime.bigint();
      for (let repetition = 0; repetition < AT_ONCE; repetition += 1) pending.push(call());
      spent += Number(process.hrtime.bigint() - begun);
      const sent = (await Promise.all(pending)).length;
      if (what.endsWith('one member')) while (received < sent) await once(client, 'message');
      received = 0;
    }
    // The first round is for the compiler.
    if (round > 0) times.push(spent / (Math.ceil(REPETITIONS / ROUNDS / AT_ONCE) * AT_ONCE));
  }
  rows.push([what, median(times).toFixed(0)]);
}
console.log(table(['call', 'ns'], rows, [1]));

client.terminate();
await hub.close();
server.close();
