// `npm run check`: what can be known in two minutes. Formats, lints, the core's tests, what crosses the boundary on the Node
// that runs this, types and docs. `npm test` has the rest: other versions of Node, Next, browsers, nginx, PM2.
import fs from 'node:fs';
import path from 'node:path';

import { ensureAddonBuilt, projectRoot } from './addon.mjs';
import { FILES_TOGETHER, steps } from './steps.mjs';
import { ensureSystemPackages } from './system.mjs';

const { log, run } = steps('check');

const tests = (...parts) => {
  const directory = path.join('__test__', ...parts);
  const names = fs.readdirSync(path.join(projectRoot, directory)).filter((name) => name.endsWith('.test.mjs'));
  return names.sort().map((name) => path.join(directory, name));
};
const [npx, cargo] = ['npx', 'cargo'];

run('format', npx, ['prettier', '--check', '--log-level', 'warn', '.']);
run('format of Rust', cargo, ['fmt', '--check']);
run('clippy, without the binding', cargo, [
  'clippy',
  '--locked',
  '--all-targets',
  '--no-default-features',
  '--',
  '-D',
  'warnings',
]);
run('clippy', cargo, ['clippy', '--locked', '--all-targets', '--', '-D', 'warnings']);
await ensureSystemPackages(['redis'], { log });
run('Rust tests of the core', cargo, ['test', '--locked', '--no-default-features', '--features', 'redis', '--quiet']);
run('rustdoc', cargo, ['doc', '--locked', '--no-deps', '--no-default-features'], { RUSTDOCFLAGS: '-D warnings' });
ensureAddonBuilt({ log });
const quick = ['docs', 'layers', 'rust-layers'].map((name) => path.join('__test__', `${name}.test.mjs`));
run('boundary, types, docs and layers', process.execPath, [
  '--test',
  `--test-concurrency=${FILES_TOGETHER}`,
  '--test-reporter=dot',
  ...quick,
  ...tests('boundary'),
]);
