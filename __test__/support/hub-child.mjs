// The program of HubChild: a hub behind a server, which tells its state over the process's message channel.
import { closeSync, openSync, readdirSync } from 'node:fs';
import { getConnectedDocuments, getConnectionCount } from '../../js/index.js';
import { HubServer } from './hub-server.mjs';

const running = await HubServer.start(JSON.parse(process.argv[2]));

function state() {
  globalThis.gc?.();
  return {
    fabric: getConnectionCount('fabric'),
    documents: getConnectedDocuments().length,
    rss: process.memoryUsage.rss(),
    descriptors: readdirSync('/proc/self/fd').length,
  };
}

function block(busyMs, everyMs) {
  setInterval(() => {
    const until = performance.now() + busyMs;
    while (performance.now() < until);
  }, everyMs);
  return { blocking: true };
}

const hoard = [];

function exhaust(free) {
  try {
    for (;;) hoard.push(openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  const opened = hoard.length;
  for (const descriptor of hoard.splice(0, free)) closeSync(descriptor);
  return { opened };
}

function release() {
  for (const descriptor of hoard.splice(0)) closeSync(descriptor);
  return { released: true };
}

const answers = {
  state,
  block: ({ busyMs, everyMs }) => block(busyMs, everyMs),
  exhaust: ({ free }) => exhaust(free),
  release,
};

process.on('message', (question) => process.send(answers[question.ask](question)));
process.once('SIGTERM', async () => {
  await running.close();
  process.exit(0);
});
console.log(`listening on ${running.port}`);
