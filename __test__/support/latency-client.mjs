// One of two clients of block.test.mjs, in a process of its own: `sender` says in each message when it left, `receiver`
// tells how long they took. The clock of hrtime is one for all processes of a machine.
//
//   node latency-client.mjs sender|receiver ws://127.0.0.1:port documentId count intervalMs
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';

const [role, base, documentId, count, intervalMs] = process.argv.slice(2);
const socket = new WebSocket(`${base}/ws/fabric?${new URLSearchParams({ documentId, clientID: role })}`);
const delays = [];

socket.on('message', (data) => {
  const now = process.hrtime.bigint();
  const message = JSON.parse(data);
  if (message.type === 'connected') console.log('connected');
  if (message.type !== 'update') return;
  delays.push(Number(now - BigInt(message.update)) / 1e6);
  if (delays.length < Number(count)) return;
  console.log(`delays ${JSON.stringify(delays)}`);
  socket.close();
});

if (role === 'sender') {
  process.once('message', async () => {
    for (let sent = 0; sent < Number(count); sent += 1) {
      socket.send(JSON.stringify({ type: 'update', documentId, update: String(process.hrtime.bigint()) }));
      await delay(Number(intervalMs));
    }
    socket.close();
    process.disconnect();
  });
}
