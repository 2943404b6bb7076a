// A deployment under PM2 while documents are being edited: the hub with the package's client, beside Socket.IO with its
// connection state recovery and its own client.
//
//   node bench/deploy.mjs [--clients 5000] [--documents 500] [--every 2000] [--seconds 8] [--json FILE]
//
// A row a way: how long until clients were back, how many were told to reload, what of the others' edits never came or came
// twice, the most connects in one second, and for how long the port was closed. `--seconds` is how long they edit before and
// after. Load and servers share the machine.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { Pm2 } from '../__test__/support/pm2.mjs';
import { freePorts } from '../__test__/support/ports.mjs';
import { makeStubApp } from '../__test__/support/stub-app.mjs';
import { FabricClient } from '../js/client.js';
import { byFabricClient, Editing, watchPort } from './lib/editing.mjs';
import { bench } from './lib/paths.mjs';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '5000' },
    documents: { type: 'string', default: '500' },
    every: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '8' },
    json: { type: 'string' },
  },
});
const [clients, documents, everyMs, seconds] = ['clients', 'documents', 'every', 'seconds'].map((name) =>
  Number(values[name]),
);

/** By Socket.IO's client, which sends again until it is acknowledged. */
const bySocketIo = (base) => (editor) => {
  const { clientID, documentId } = editor;
  const socket = io(base, {
    transports: ['websocket'],
    forceNew: true,
    auth: { clientID, documentId },
    retries: 1000,
    ackTimeout: 10_000,
  });
  let pending = 0;
  socket.on('welcome', (isRecovered) => editor.up(isRecovered ? 'recovered' : 'new'));
  socket.on('disconnect', () => editor.down());
  socket.on('update', (from, number) => editor.take(from, number));
  const write = (number) => {
    pending += 1;
    socket.emit('update', number, () => (pending -= 1));
  };
  return { write, pending: () => pending, close: () => socket.disconnect() };
};

const hub = {
  app: () => ({ cwd: makeStubApp({ options: "{ hub: { logLevel: 'warn', limits: false } }" }), script: 'server.mjs' }),
  connect: (port) => byFabricClient(FabricClient, `ws://127.0.0.1:${port}`, { WebSocket }),
};
const socketIo = {
  app: () => ({ cwd: bench, script: path.join(bench, 'control', 'deploy-socketio.mjs') }),
  connect: (port) => bySocketIo(`http://127.0.0.1:${port}`),
};

const ROWS = [
  ['hub, pm2 restart, fork', hub, 'fork', 'restart'],
  ['hub, pm2 reload, cluster', hub, 'cluster', 'reload'],
  ['Socket.IO, pm2 restart, fork', socketIo, 'fork', 'restart'],
  ['Socket.IO, pm2 reload, cluster', socketIo, 'cluster', 'reload'],
];

async function measure({ app, connect }, mode, how) {
  const [port] = await freePorts(1);
  const pm2 = new Pm2();
  const { cwd, script } = app();
  const config = path.join(makeStubApp(), 'ecosystem.config.cjs');
  const settings = { name: 'app', script, cwd, args: '-H 127.0.0.1', exec_mode: mode, instances: 1 };
  const waits = { wait_ready: true, listen_timeout: 60_000, kill_timeout: 10_000 };
  const env = { NODE_ENV: 'production', PORT: String(port) };
  writeFileSync(config, `module.exports = ${JSON.stringify({ apps: [{ ...settings, ...waits, env }] })};`);
  const perDocument = Math.round(clients / documents);
  const editing = new Editing({ documents, perDocument, everyMs, connect: connect(port) });
  try {
    await pm2.call('start', config);
    await editing.start();
    await delay(seconds * 1000);
    const watch = watchPort(port);
    await pm2.call(how, 'app');
    await editing.back(1);
    await delay(seconds * 1000);
    await editing.stop();
    return { ...editing.report(), closedMs: await watch.stop() };
  } finally {
    editing.close();
    await pm2.kill();
  }
}

const results = {};
for (const [name, server, mode, how] of ROWS) {
  results[name] = await measure(server, mode, how);
  console.error(`${name}: ${JSON.stringify(results[name])}`);
}
console.table(results);
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(0);
