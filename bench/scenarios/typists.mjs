// How long what 20 editors type waits until it is confirmed, each 5 characters a second (bench/typists.mjs): the hub's fair
// turns beside plain refusal in Node.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bench, scratch } from '../lib/paths.mjs';

const EDITORS = 20;

/** p99 of a model of fair turns is 2 s where all lines are equal, and 3.5 s with every fourth four times as long. */
const TARGETS = [
  ['50 ms away', 2000],
  ['50 ms away, every fourth 200 ms', 3500],
];

const run = (server) => ({
  server,
  async measure({ load, time }) {
    const { host } = load.server;
    const file = scratch('typists.json');
    const seconds = Math.ceil(time(20_000) / 1000);
    const args = ['--editors', EDITORS, '--seconds', seconds, '--url', `ws://${host}`, '--json', file].map(String);
    await promisify(execFile)(process.execPath, [join(bench, 'typists.mjs'), ...args]);
    return JSON.parse(readFileSync(file, 'utf8'));
  },
});

export default {
  id: 'typists',
  title: `${EDITORS} people type in one document`,
  rounds: 1,
  runs: { hub: run('hub-typists'), authority: run('authority-stored') },
  rows: ({ hub: [measured], authority: [plain] }) =>
    TARGETS.map(([where, target], index) => ({
      what: `p99 until a character is confirmed, ${EDITORS} editors, ${where}`,
      target,
      unit: 'ms',
      reached: measured[index].p99,
      note: `plain refusal: ${plain[index].p99} ms`,
    })),
  figures: (runs) =>
    Object.entries(runs).flatMap(([server, [measured]]) =>
      TARGETS.flatMap(([where], index) =>
        ['p50', 'p99', 'longest'].map((what) => ({
          server,
          what: `${EDITORS} editors, ${where}, ${what} until confirmed`,
          value: measured[index][what],
          unit: 'ms',
        })),
      ),
    ),
};
