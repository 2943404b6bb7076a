// 10,000 open documents, and Redis killed and started again (bench/catch-up.mjs): how long until the hub is ready.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bench } from '../lib/paths.mjs';
import { median } from '../lib/statistics.mjs';

const DOCUMENTS = 10_000;

async function measure({ count }) {
  const args = [join(bench, 'catch-up.mjs'), '--documents', String(count(DOCUMENTS))];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

const readyMs = (runs) => median(runs.hub.map((measured) => measured.readyMs));

export default {
  id: 'catch-up',
  title: `${DOCUMENTS} documents after a restart of Redis`,
  rounds: 3,
  runs: { hub: { measure } },
  rows: (runs) => [
    {
      what: `${DOCUMENTS} open documents caught up after Redis was killed and started again`,
      target: 3000,
      unit: 'ms',
      below: true,
      reached: readyMs(runs),
    },
  ],
  figures: (runs) => [{ server: 'hub', what: 'until it is ready again', value: readyMs(runs), unit: 'ms' }],
};
