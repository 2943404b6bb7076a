// `npm test`: brings what is missing, then runs every test: the core in Rust, then everything through Node.
// `npm test -- browser nginx` runs only the files in __test__ whose names begin so.
import fs from 'node:fs';
import path from 'node:path';

import { ensureAddonBuilt, projectRoot } from './addon.mjs';
import { FILES_TOGETHER, mayRunTogether, steps } from './steps.mjs';
import { ensureSystemPackages } from './system.mjs';

const wanted = process.argv.slice(2);
const { log, run } = steps('test');

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
  await ensureSystemPackages(['openssl', 'nginx', 'chromium', 'promtool', 'redis'], { log });
  ensureAddonBuilt({ log });
} catch (error) {
  log(error.message);
  process.exit(1);
}
if (wanted.length === 0) {
  run('Rust tests of the core', 'cargo', ['test', '--locked', '--no-default-features', '--features', 'redis']);
}
const files = testFiles();
const together = files.filter(mayRunTogether);
const alone = files.filter((file) => !mayRunTogether(file));
/** A file that takes many times as long as it should has failed, rather than that nothing ever ends. */
const node = (concurrency, minutes) => {
  return ['--test', `--test-concurrency=${concurrency}`, `--test-timeout=${minutes * 60_000}`, '--test-reporter=spec'];
};
if (together.length > 0)
  run('JavaScript tests of one process', process.execPath, [...node(FILES_TOGETHER, 10), ...together]);
// One file at a time: several start browsers, builds or thousands of connections.
if (alone.length > 0) run('JavaScript tests of whole servers', process.execPath, [...node(1, 25), ...alone]);
