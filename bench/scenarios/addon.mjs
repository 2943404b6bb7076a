// The addon itself: how large, and how long it takes to load.
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { promisify } from 'node:util';
import { addon } from '../lib/paths.mjs';
import { median } from '../lib/statistics.mjs';

const LOAD = 'const begun = performance.now(); require(process.argv[1]); console.log(performance.now() - begun)';

/** Loaded in a process of its own, as it is once a process. */
async function measure() {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', LOAD, addon]);
  return { bytes: statSync(addon).size, load_ms: Number(stdout) };
}

export default {
  id: 'addon',
  title: 'the addon',
  rounds: 9,
  runs: { hub: { measure } },
  rows: ({ hub }) => [
    { what: 'release build of the addon', target: 3, below: true, unit: 'MB', reached: hub[0].bytes / 1e6 },
    { what: 'the addon loads in', target: 10, below: true, unit: 'ms', reached: median(hub.map((one) => one.load_ms)) },
  ],
  figures: () => [],
};
