// What crosses the boundary between JavaScript and Rust, under every version of Node that is supported and that these
// tests are not run by already. One binary serves them all: that is the promise of Node-API.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { FILES_TOGETHER } from '../scripts/steps.mjs';
import { installedNode, nodePackage } from './support/nodes.mjs';
import { childEnvironment, progress, run } from './support/processes.mjs';

const majors = [22, 24, 26];
const MINUTE = 60_000;

const directory = fileURLToPath(new URL('./boundary', import.meta.url));

function boundaryTests() {
  const names = fs.existsSync(directory) ? fs.readdirSync(directory) : [];
  return names
    .filter((name) => name.endsWith('.test.mjs'))
    .sort()
    .map((name) => path.join(directory, name));
}

for (const major of majors) {
  test(`the tests of the boundary pass under Node ${major}`, { timeout: 10 * MINUTE }, async (t) => {
    const files = boundaryTests();
    assert.ok(files.length > 0, `there are no tests in ${directory}`);
    if (!nodePackage()) {
      const why = `npm has no Node for ${process.platform}-${process.arch} with this C library`;
      progress(`NOT TESTED under Node ${major}: ${why}`);
      // Nothing else brings another Node by the package manager alone; where npm has one, its absence fails.
      return t.skip(why);
    }
    const { command, version } = await installedNode(major);
    // The inner deadline is the shorter one, so that the runner is still there to end what it has started.
    const together = [`--test-concurrency=${FILES_TOGETHER}`, `--test-timeout=${4 * MINUTE}`];
    const args = ['--test', '--test-reporter=spec', ...together, ...files];
    const { HUB_NATIVE_PATH } = process.env;
    const output = await run(`${files.length} files of the boundary under Node ${version}`, command, args, {
      env: childEnvironment({ HUB_NATIVE_PATH, FORCE_COLOR: '0' }),
      timeoutMs: 8 * MINUTE,
    });
    const [passed, failed, skipped] = ['pass', 'fail', 'skipped'].map((what) => {
      const [, count] = new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output) ?? assert.fail(output);
      return Number(count);
    });
    progress(`Node ${version}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    assert.equal(failed, 0, output);
    assert.ok(passed > 0, output);
  });
}
