// What the documents promise is what the code has.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (...names) => fs.readFileSync(path.join(root, ...names), 'utf8');

function sources(directory, ending) {
  return fs
    .readdirSync(path.join(root, directory), { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => read(directory, name))
    .join('\n');
}

function all(text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].sort();
}

test('every error code of the source is in index.d.ts and in the README, and no other', () => {
  const used = all(sources('src', '.rs') + sources('js', '.js'), /['"](HUB_[A-Z_]+)['"]/g).filter(
    (code) => code !== 'HUB_',
  );
  const declared = all(read('index.d.ts'), /\| '(HUB_[A-Z_]+)'/g);
  const documented = all(read('README.md').split('### Error codes')[1].split('## ')[0], /`(HUB_[A-Z_]+)`/g).filter(
    (code) => code !== 'HUB_NATIVE_PATH',
  );
  assert.deepEqual(declared, used);
  assert.deepEqual(documented, used);
});

test('every close code of the source is in the README', () => {
  const used = all(read('src', 'close.rs'), /pub const [A-Z_0-9]+: u16 = (\d+);/g);
  const documented = all(read('README.md').split('### Close codes')[1], /^\| (\d{4}) \|/gm);
  assert.deepEqual(documented, used);
});

test('every option is declared, checked and documented', () => {
  const declared = all(read('server.d.ts').split('interface HubOptions')[1].split('\n}')[0], /^ {2}(\w+)\?:/gm);
  const checked = all(read('js', 'options.js').split('const CHECKS')[1].split('};')[0], /^ {2}(\w+):/gm);
  const documented = all(read('README.md').split('### Options')[1].split('### ')[0], /^\| `(\w+)` \|/gm);
  assert.deepEqual(checked, declared);
  assert.deepEqual(documented, declared);
});

test('every option of createAgentHandler is declared, checked and documented', () => {
  const declared = all(read('agent.d.ts').split('interface AgentOptions')[1].split('\n}')[0], /^ {2}(\w+)[?(]/gm);
  const source = read('js', 'agent', 'options.js');
  const checked = ['const NUMBERS', 'const CHECKS'].flatMap((table) =>
    all(source.split(table)[1].split('\n};')[0], /^ {2}(\w+):/gm),
  );
  const table = read('README.md').split('### What can be set')[1].split('## ')[0];
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  assert.deepEqual(checked.sort(), declared);
  assert.deepEqual(all(rows.join(), /`(\w+)`/g), declared);
});

test('every code and message of the agent wire is declared and documented', () => {
  const wire = read('README.md').split('### The agent wire')[1].split('### ')[0];
  const messages = read('js', 'agent', 'messages.js');
  const codes = all(messages.split('const MESSAGES')[1].split('};')[0], /^ {2}(\w+):/gm);
  assert.deepEqual(all(read('agent.d.ts'), /\| '([A-Z_]+)'/g), codes);
  assert.deepEqual(all(wire, /`([A-Z_]+)`/g), codes);
  const types = all(sources(path.join('js', 'agent'), '.js'), /type":"(\w+)"/g);
  const declared = all(read('agent.d.ts').split('type AgentClientMessage')[1], /type: '(\w+)'/g);
  assert.deepEqual(all(wire, /"type":"(\w+)"/g), declared);
  for (const type of types) assert.ok(declared.includes(type), type);
});

test('every message type of the source is in the README', () => {
  const used = all(read('src', 'protocol.rs'), /"type":"(\w+)"/g);
  const wire = read('README.md').split('## The wire')[1];
  for (const type of used) assert.ok(wire.includes(`"type":"${type}"`), type);
});

test('the package, the crate and the changelog have one version', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.match(read('Cargo.toml'), new RegExp(`^version = "${version}"$`, 'm'));
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version}\\b`, 'm'));
});

test('the files that the README names are there', () => {
  for (const [, file] of read('README.md').matchAll(/\]\(([^)#]+)\)/g)) {
    assert.ok(fs.existsSync(path.join(root, file)), file);
  }
});
