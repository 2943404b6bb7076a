// What the commands that run tests have in common.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

import { projectRoot } from './addon.mjs';

/**
 * Test files that run at once where they may: most of their time they wait for a timer or a peer. On two processors the
 * tests of the boundary take 88 s so, and 250 s one after the other.
 */
export const FILES_TOGETHER = 3;

/** Whether a test file needs no more than its own processes, and not all of the machine. */
export function mayRunTogether(file) {
  return ['boundary', 'agent', 'prosemirror'].includes(path.basename(path.dirname(file)));
}

/** Runs commands one after the other, under the name of the script; the first that fails ends it. */
export function steps(name) {
  const log = (line) => console.error(`[${name}] ${line}`);
  function run(title, command, args, env = {}) {
    log(title);
    const began = Date.now();
    const options = { cwd: projectRoot, stdio: 'inherit', env: { ...process.env, ...env } };
    const { status, error } = spawnSync(command, args, options);
    if (status !== 0) {
      log(`${title}: failed (${error?.message ?? `exit code ${status}`})`);
      process.exit(1);
    }
    log(`${title}: done in ${Math.round((Date.now() - began) / 1000)} s`);
  }
  return { log, run };
}
