// `npm test`: brings what is missing, then runs every test: the core in Rust, then everything through Node.
// `npm test -- browser nginx` runs only the files in __test__ whose names begin so.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { ensureAddonBuilt, projectRoot } from './addon.mjs';
import { ensureSystemPackages } from './system.mjs';

const wanted = process.argv.slice(2);
const log = (line) => console.error(`[test] ${line}`);

function run(title, command, args) {
  log(title);
  const began = Date.now();
  const { status, error } = spawnSync(command, args, { cwd: projectRoot, stdio: 'inherit' });
  if (status !== 0) {
    log(`${title}: failed (${error?.message ?? `exit code ${status}`})`);
    process.exit(1);
  }
  log(`${title}: done in ${Math.round((Date.now() - began) / 1000)} s`);
}

function testFiles() {
  const directory = path.join(projectRoot, '__test__');
  return fs
    .readdirSync(directory, { recursive: true })
    .filter((file) => file.endsWith('.test.mjs') && !/(^|[\\/])(node_modules|fixtures)[\\/]/.test(file))
    .filter((file) => wanted.length === 0 || wanted.some((name) => path.basename(file).startsWith(name)))
    .sort()
    .map((file) => path.join('__test__', file));
}

try {
  await ensureSystemPackages(['openssl', 'nginx', 'chromium'], { log });
  ensureAddonBuilt({ log });
} catch (error) {
  log(error.message);
  process.exit(1);
}
if (wanted.length === 0) {
  run('Rust tests of the core', 'cargo', ['test', '--locked', '--no-default-features']);
}
// One file at a time: several start browsers, builds or thousands of connections.
run('JavaScript tests', process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...testFiles()]);
