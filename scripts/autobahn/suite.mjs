// Runs the suite's fuzzing client against one server and reads its report.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const AGENT = 'hub';
/** Compression (permessage-deflate), which the hub does not offer. */
const EXCLUDED = ['12.*', '13.*'];
/** The longest wait inside one case is 100 s; silence beyond that means that the suite hangs. */
const SILENCE_MS = 150_000;

/**
 * Runs `cases` (patterns such as `9.*`) against `url`.
 *
 * @param onCase called as each case begins, with its id, its number and how many there are
 * @returns case id to `{ behavior, behaviorClose }`
 */
export async function runSuite({ python, packages, directory, url, cases, signal, onCase }) {
  const reports = join(directory, 'reports');
  const spec = join(directory, 'spec.json');
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const servers = [{ agent: AGENT, url, options: { version: 18 } }];
  writeFileSync(
    spec,
    JSON.stringify({ outdir: reports, servers, cases, 'exclude-cases': EXCLUDED, 'exclude-agent-cases': {} }),
  );

  const args = ['-u', join(import.meta.dirname, 'wstest.py'), packages, '-m', 'fuzzingclient', '-s', spec];
  await followSuite(spawn(python, args, { signal, stdio: ['ignore', 'pipe', 'pipe'] }), onCase);

  const report = JSON.parse(readFileSync(join(reports, 'index.json'), 'utf8'))[AGENT] ?? {};
  return Object.fromEntries(
    Object.entries(report)
      .map(([id, { behavior, behaviorClose }]) => [id, { behavior, behaviorClose }])
      .sort(([a], [b]) => compareIds(a, b)),
  );
}

function followSuite(child, onCase) {
  return new Promise((resolve, reject) => {
    let total = 0;
    let count = 0;
    let last = '';
    const silence = setTimeout(() => {
      child.kill('SIGKILL');
      last = `silent for ${SILENCE_MS / 1000} s`;
    }, SILENCE_MS);
    const follow = (line) => {
      silence.refresh();
      if (line.trim()) last = line;
      total = Number(/will run (\d+) test cases/.exec(line)?.[1] ?? total);
      const id = /^Running test case ID (\S+)/.exec(line)?.[1];
      if (id) onCase(id, ++count, total);
    };
    createInterface({ input: child.stdout }).on('line', follow);
    createInterface({ input: child.stderr }).on('line', follow);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(silence);
      if (code !== 0) reject(new Error(`the test suite ended with ${code}: ${last}`));
      else if (count < total) reject(new Error(`the test suite stopped after ${count} of ${total} cases: ${last}`));
      else resolve();
    });
  });
}

/** `2.10` comes after `2.9`. */
export function compareIds(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}
