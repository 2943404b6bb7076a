// How long what is typed waits until it is confirmed, where many type in one document over real sockets, each 5 characters
// a second, behind lines that take 25 ms one way, or with every fourth at 100 ms.
//
//   node bench/typists.mjs [--editors 5,20,50] [--seconds 30] [--light] [--processes N] [--url ws://host:port] [--json FILE]
//
// They are real prosemirror-collab editors; with --light they only speak as one does (lib/typist.mjs), for numbers whose
// editors are more than a machine can run. They share N processes (default 1). Without a URL the server is the authority in
// Node with plain refusal (control/steps.mjs), in a process of its own.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { bench } from './lib/paths.mjs';

const NEAR_MS = 25;
const FAR_MS = 100;

async function measure(url, count, isUnequal, { seconds, light, processes }) {
  const lines = Array.from({ length: count }, (_, index) => ({
    index,
    oneWayMs: isUnequal && index % 4 === 0 ? FAR_MS : NEAR_MS,
  }));
  const documentId = `typists-${count}-${isUnequal}-${process.pid}`;
  const children = Array.from({ length: processes }, () => fork(join(bench, 'lib/typists-process.mjs')));
  // Fours go together, so that each process has as many with a slow line.
  const ofChild = (child) => lines.filter(({ index }) => Math.floor(index / 4) % processes === child);
  const told = (child) =>
    Promise.race([
      once(child, 'message').then(([message]) => message),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`a process of typists has ended with ${code}`))),
    ]);
  children.forEach((child, index) => child.send({ url, documentId, lines: ofChild(index), light }));
  await Promise.all(children.map(told));
  for (const child of children) child.send({ ms: seconds * 1000 });
  const results = await Promise.all(children.map(told));
  const waits = results.flatMap((result) => result.waits).sort((a, b) => a - b);
  const at = (share) => Math.round(waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]);
  return {
    editors: count,
    'one way': isUnequal ? `${NEAR_MS} ms, every fourth ${FAR_MS} ms` : `${NEAR_MS} ms`,
    characters: waits.length,
    p50: at(0.5),
    p99: at(0.99),
    longest: at(1),
    'refusals/s': Math.round(results.reduce((sum, { refusals }) => sum + refusals, 0) / seconds),
    'p99 of their loops': Math.round(Math.max(...results.map(({ lagMs }) => lagMs))),
  };
}

async function startControl() {
  const child = spawn(process.execPath, [join(bench, 'control/steps.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /listening on (\S+:\d+)/.exec(line);
    if (found) return { url: `ws://${found[1]}`, stop: () => child.kill('SIGKILL') };
  }
  throw new Error('the server did not start');
}

const { values } = parseArgs({
  options: {
    editors: { type: 'string', default: '5,20,50' },
    seconds: { type: 'string', default: '30' },
    light: { type: 'boolean', default: false },
    processes: { type: 'string', default: '1' },
    url: { type: 'string' },
    json: { type: 'string' },
  },
});

const how = { seconds: Number(values.seconds), light: values.light, processes: Number(values.processes) };
const rows = [];
for (const count of values.editors.split(',').map(Number)) {
  for (const isUnequal of [false, true]) {
    const server = values.url ? { url: values.url, stop() {} } : await startControl();
    rows.push(await measure(server.url, count, isUnequal, how));
    server.stop();
    console.error(JSON.stringify(rows.at(-1)));
  }
}
console.table(rows);
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
