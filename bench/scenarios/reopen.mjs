// 10,000 open documents whose Redis is killed and started again with what it kept: how long until all are followed again.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bench } from '../lib/paths.mjs';
import { median } from '../lib/statistics.mjs';

const DOCUMENTS = 10_000;

async function measure({ count }) {
  const args = [join(bench, 'servers/hub-reopen.mjs'), String(count(DOCUMENTS))];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

const seconds = (measured) => measured.ready_ms / 1000;

export default {
  id: 'reopen',
  title: '10,000 documents after Redis was restarted',
  rounds: 3,
  runs: { reopen: { measure } },
  rows: ({ reopen }) => [
    {
      what: '10,000 open documents followed again, from when Redis takes connections',
      target: 3,
      below: true,
      unit: 's',
      reached: median(reopen.map(seconds)),
    },
  ],
  figures: ({ reopen }) => [
    { server: 'hub', what: '10,000 documents followed again', value: median(reopen.map(seconds)), unit: 's' },
  ],
};
