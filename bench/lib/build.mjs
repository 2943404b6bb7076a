// Brings what a run needs: the addon, the example, the load generator, the control servers' packages.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ensureExampleBuilt } from '../../__test__/support/example.mjs';
import { ensureAddonBuilt } from '../../scripts/addon.mjs';
import { ensureSystemPackages } from '../../scripts/system.mjs';
import { bench, loadTarget, root } from './paths.mjs';

const log = (line) => console.log(`bench: ${line}`);

export async function prepare({ next }) {
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
  // Another hub may be given to compare with.
  if (!process.env.BENCH_HUB) ensureAddonBuilt({ log });
  if (next) await ensureExampleBuilt({ log });
  try {
    await ensureSystemPackages(['perf'], { log });
  } catch (error) {
    log(`${error.message}; time in user space is told by the kernel's clock ticks, and is a guess`);
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
