// Runs the Autobahn test suite against a WebSocket echo server and compares with what is known of every case:
//   node scripts/autobahn/run.mjs [--url ws://127.0.0.1:PORT/ws/echo] [--cases 1.*,2.*] [--update]
// Without --url it starts the hub's own echo server. Exit code 1: a case failed or differs from expected.json;
// 2: the suite could not run. A full run takes about 40 s on two cores.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startEchoServer } from './echo-server.mjs';
import { differences, passed, readExpected, writeExpected } from './expected.mjs';
import { findPython, installPackages } from './python.mjs';
import { runSuite } from './suite.mjs';

const directory = join(import.meta.dirname, '../../build/autobahn');

/** A signal ends what was started here before it ends this process. */
const aborted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => aborted.abort());

async function main() {
  const { values } = parseArgs({
    options: { url: { type: 'string' }, cases: { type: 'string' }, update: { type: 'boolean' } },
  });
  const python = findPython();
  const packages = installPackages(python, directory);
  const server = values.url ? { url: values.url, stop() {} } : await startEchoServer(aborted.signal);
  try {
    const cases = values.cases?.split(',') ?? ['*'];
    const started = Date.now();
    const { signal } = aborted;
    const results = await runSuite({ python, packages, directory, url: server.url, cases, signal, onCase: progress });
    return report(results, {
      all: !values.cases,
      update: values.update,
      seconds: Math.round((Date.now() - started) / 1000),
    });
  } finally {
    await server.stop();
  }
}

/** One line that counts on a terminal, a line every 25 cases anywhere else. */
function progress(id, count, total) {
  const last = count === total;
  const line = `autobahn: case ${count} of ${total} (${id})`;
  if (process.stdout.isTTY) process.stdout.write(`\r${line}\x1b[K${last ? '\n' : ''}`);
  else if (last || count % 25 === 0) console.log(line);
}

function report(results, { all, update, seconds }) {
  const ids = Object.keys(results);
  const failed = ids.filter((id) => !passed(results[id]));
  const count = (behavior) => ids.filter((id) => results[id].behavior === behavior).length;
  if (update) writeExpected(all ? results : { ...readExpected(), ...results });
  const changed = differences(results, readExpected(), all);
  for (const id of failed)
    console.log(`autobahn: FAILED ${id}: ${results[id].behavior}, close ${results[id].behaviorClose}`);
  for (const line of changed) console.log(`autobahn: DIFFERS ${line}`);
  console.log(
    `autobahn: ${ids.length} cases in ${seconds} s: ${count('OK')} OK, ${count('NON-STRICT')} non-strict, ` +
      `${count('INFORMATIONAL')} informational, ${failed.length} failed; ${changed.length} differ from expected.json`,
  );
  return ids.length > 0 && failed.length === 0 && changed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`autobahn: ${error.message}`);
  process.exitCode = 2;
}
