// The one file of the chat transport that a page may load as it is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import test from 'node:test';
import { gzipSync } from 'node:zlib';

test('what a browser loads is under 5 KiB, gzipped as it is, and imports nothing', (t) => {
  const source = fs.readFileSync(new URL('../../js/agent-client.mjs', import.meta.url));
  const bytes = gzipSync(source).length;
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes < 5 * 1024, `${bytes}`);
  assert.doesNotMatch(source.toString(), /^import\b|\brequire\(|\bimport\(/m);
});

test('it is made of its parts as they are now, whose reconnecting socket is the one of the fabric client, and says so', () => {
  const source = fs.readFileSync(new URL('../../js/agent-client.mjs', import.meta.url), 'utf8');
  assert.match(source, /^\/\/ Made by `npm run agent-client` from js\/client\//);
  execFileSync(process.execPath, ['scripts/agent-client.mjs', '--check'], { cwd: new URL('../..', import.meta.url) });
});
