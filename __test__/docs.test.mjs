// What the documents promise is what the code has.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (...names) => fs.readFileSync(path.join(root, ...names), 'utf8');

/** What ships, without the tests beside it: those write messages and codes that nothing sends. */
function sources(directory, ending) {
  return fs
    .readdirSync(path.join(root, directory), { recursive: true })
    .filter((name) => name.endsWith(ending) && !/(^|[\\/])tests(\.rs$|[\\/])/.test(name))
    .map((name) => read(directory, name).split(/^#\[cfg\(test\)\]$/m)[0])
    .join('\n');
}

/** What `pattern` captures, sorted. Nothing is a fault of the test: the text has moved, and it would pass for ever. */
function all(text, pattern) {
  const found = [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].sort();
  assert.notEqual(found.length, 0, `nothing in ${text.length} characters looks like ${pattern}`);
  return found;
}

/** The part of `text` from `begin` to the next `end`; both must be there. */
function section(text, begin, end) {
  const [, after] = text.split(begin);
  assert.notEqual(after, undefined, `there is no ${begin}`);
  const to = after.indexOf(end);
  assert.notEqual(to, -1, `nothing ends ${begin}`);
  return after.slice(0, to);
}

test('a list that would be empty and a section that is gone fail their tests', () => {
  assert.throws(() => all('no message here', /"type":"(\w+)"/g), /looks like/);
  assert.throws(() => section('## A\n## B', '## C', '## '), /there is no ## C/);
  assert.throws(() => section('## A', '## A', '## '), /nothing ends/);
});

test('every error code of the source is in index.d.ts and in the README, and no other', () => {
  const used = all(sources('src', '.rs') + sources('js', '.js'), /['"](HUB_[A-Z_]+)['"]/g).filter(
    (code) => code !== 'HUB_',
  );
  const declared = all(read('index.d.ts'), /\| '(HUB_[A-Z_]+)'/g);
  const documented = all(section(read('README.md'), '### Error codes', '## '), /`(HUB_[A-Z_]+)`/g).filter(
    (code) => code !== 'HUB_NATIVE_PATH',
  );
  assert.deepEqual(declared, used);
  assert.deepEqual(documented, used);
});

test('every close code of the source is in the README', () => {
  const used = all(read('src', 'close.rs'), /pub const [A-Z_0-9]+: u16 = (\d+);/g);
  const documented = all(section(read('README.md'), '### Close codes', '## '), /^\| (\d{4}) \|/gm);
  assert.deepEqual(documented, used);
});

test('every option is declared, checked and documented', () => {
  const declared = all(section(read('server.d.ts'), 'interface HubOptions', '\n}'), /^ {2}(\w+)\?:/gm);
  const checked = all(section(read('js', 'hub', 'options.js'), 'const CHECKS', '};'), /^ {2}(\w+):/gm);
  const documented = all(section(read('README.md'), '### Options', '### '), /^\| `(\w+)` \|/gm);
  assert.deepEqual(checked, declared);
  assert.deepEqual(documented, declared);
});

test('every option of createAgentHandler is declared, checked and documented', () => {
  const declared = all(section(read('agent.d.ts'), 'interface AgentOptions', '\n}'), /^ {2}(\w+)[?(]/gm);
  const source = read('js', 'agent', 'options.js');
  const checked = ['const NUMBERS', 'const CHECKS'].flatMap((table) =>
    all(section(source, table, '\n};'), /^ {2}(\w+):/gm),
  );
  const table = section(read('README.md'), '### What can be set', '## ');
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  assert.deepEqual(checked.sort(), declared);
  assert.deepEqual(all(rows.join(), /`(\w+)`/g), declared);
});

test('every code and message of the agent wire is declared and documented', () => {
  const wire = section(read('README.md'), '### The agent wire', '### ');
  const messages = read('js', 'agent', 'messages.js');
  const codes = all(section(messages, 'const MESSAGES', '};'), /^ {2}(\w+):/gm);
  assert.deepEqual(all(read('agent.d.ts'), /\| '([A-Z_]+)'/g), codes);
  assert.deepEqual(all(wire, /`([A-Z_]+)`/g), codes);
  const declared = read('agent.d.ts');
  const asked = all(section(declared, 'type AgentClientMessage', ';\n\n'), /type: '(\w+)'/g);
  const told = all(section(declared, 'type AgentServerMessage', '};\n'), /type: '(\w+)'/g);
  assert.deepEqual(all(wire, /"type":"(\w+)"/g), [...asked, ...told].sort());
  // A part is put together before it acts.
  const handler = read('js', 'agent', 'handler.js');
  const actions = all(section(handler, 'const ACTIONS', '\n};'), /^ {2}(\w+)/gm);
  assert.deepEqual([...actions, ...all(handler, /message\.type === '(\w+)'/g)].sort(), asked);
  assert.deepEqual(all(sources(path.join('js', 'agent'), '.js'), /(?:\btype: |#(?:head|ending)\()'(\w+)'/g), told);
});

/** The README without what is said of agents, whose messages are another wire. */
function wireDocuments() {
  const readme = read('README.md');
  return readme.replace(section(readme, '## Agent streaming', '\n## '), '');
}

test('every message that the hub sends is in the README', () => {
  const rust = all(sources('src', '.rs'), /"type":"([\w-]+)"/g);
  const routes = all(read('js', 'index.js'), /\btype"?: ?['"]([\w-]+)['"]/g);
  // One of each place that sends: were such a file no longer read, its messages would be missing here.
  for (const type of ['connected', 'synced', 'recovered', 'reload', 'ack', 'update', 'steps', 'error', 'session']) {
    assert.ok(rust.includes(type), type);
  }
  assert.ok(routes.includes('agent-change-pending') && routes.includes('steps'), routes.join());
  const documents = wireDocuments();
  for (const type of [...rust, ...routes]) assert.ok(documents.includes(`"type":"${type}"`), type);
});

test('every message that the hub understands is in the README', () => {
  const parser = section(read('src', 'protocol.rs'), 'pub fn parse', '\n}\n');
  const understood = all(parser, /^ *"([\w-]+)" => /gm).concat(all(parser, /kind == "([\w-]+)"/g));
  const documents = wireDocuments();
  for (const type of understood) assert.ok(documents.includes(`{"type":"${type}"`), type);
});

test('every code of an error or a reload is in the README', () => {
  const codes = all(sources('src', '.rs'), /=> "([A-Z]+(?:_[A-Z]+)+)"/g)
    .concat(all(sources('src', '.rs'), /"code":"([A-Z_]+)"/g))
    .filter((code) => !code.startsWith('HUB_'));
  for (const code of ['BAD_JSON', 'OTHER_EPOCH', 'RATE_LIMITED']) assert.ok(codes.includes(code), code);
  const documents = wireDocuments();
  for (const code of codes) assert.ok(documents.includes(code), code);
});

test('the package, the crate and the changelog have one version', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.match(read('Cargo.toml'), new RegExp(`^version = "${version}"$`, 'm'));
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version}\\b`, 'm'));
});

test('the files that the README names are there', () => {
  for (const file of all(read('README.md'), /\]\(([^)#:]+)\)/g)) {
    assert.ok(fs.existsSync(path.join(root, file)), file);
  }
});
