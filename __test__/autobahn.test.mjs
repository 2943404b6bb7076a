import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';

const script = join(import.meta.dirname, '../scripts/autobahn/run.mjs');

/** Runs the script to its end, showing what it prints as it comes. */
function run(args, { signal, env = process.env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
        process.stderr.write(text);
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

test(
  'every case of the Autobahn suite outside compression does what expected.json says',
  { timeout: 900_000 },
  async ({ signal }) => {
    const url = process.env.HUB_AUTOBAHN_URL;
    const { code, output } = await run(url ? ['--url', url] : [], { signal });
    assert.equal(code, 0, output);
    assert.match(output, /301 cases in \d+ s: .* 0 failed; 0 differ/);
  },
);

test('a machine without Python 2.7 is told so in one line', async ({ signal }) => {
  const env = { ...process.env, PYTHON27: '/nonexistent/python2.7' };
  const { code, output } = await run([], { signal, env });
  assert.equal(code, 2);
  assert.match(output, /^autobahn: Autobahn needs Python 2\.7 with pip .*PYTHON27.*\n$/);
});
