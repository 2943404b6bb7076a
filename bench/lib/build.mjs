// Brings what a run needs: the load generator, the control servers' packages, a look for the addon and the example.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { addon, bench, example, loadTarget, root } from './paths.mjs';

export function prepare({ next }) {
  run('cargo', [
    'build',
    '--release',
    '--locked',
    '--manifest-path',
    join(bench, 'load/Cargo.toml'),
    '--target-dir',
    loadTarget,
  ]);
  if (isOlder(join(bench, 'node_modules/.package-lock.json'), join(bench, 'package-lock.json'))) {
    run('npm', ['ci', '--prefix', bench, '--no-audit', '--no-fund']);
  }
  if (!process.env.BENCH_HUB && !existsSync(addon))
    throw new Error('the addon is not built: run `npm run build` first');
  if (next && !existsSync(join(example, '.next/BUILD_ID'))) {
    throw new Error('the example is not built: run `npm start` once, or `npm run bench -- --only …` without pages');
  }
}

function isOlder(made, source) {
  return !existsSync(made) || statSync(made).mtimeMs < statSync(source).mtimeMs;
}

function run(command, args) {
  console.log(`bench: ${command} ${args[0]}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${error?.message ?? `exit code ${status}`}`);
}
