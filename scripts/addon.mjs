// The native addon for `npm start` and `npm test`: built when its sources are newer.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { platformName } = require('../js/hub/native.js');

export const projectRoot = fileURLToPath(new URL('..', import.meta.url));

/** Builds the addon of this platform where it is missing or older than what it is made from. */
export function ensureAddonBuilt({ log = console.error } = {}) {
  const binary = path.join(projectRoot, 'prebuilds', platformName(), 'hub.node');
  const sources = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src'].map((name) => path.join(projectRoot, name));
  if (modified(binary) > Math.max(...sources.map(newest))) return;
  log('Building the addon with cargo (a minute the first time) …');
  const { status } = spawnSync(process.execPath, [path.join(projectRoot, 'js', 'cli.js'), 'build'], {
    cwd: projectRoot,
    // What `npm pack --json` says on its standard output stays readable.
    stdio: ['inherit', process.stderr, 'inherit'],
  });
  if (status !== 0) throw new Error('The addon could not be built; cargo said why above.');
}

function newest(file) {
  const entries = fs.statSync(file).isDirectory() ? fs.readdirSync(file) : [];
  return Math.max(modified(file), ...entries.map((entry) => newest(path.join(file, entry))));
}

function modified(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
