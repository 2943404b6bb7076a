// The package as npm would publish it: what is in it, and whether every kind of importer finds it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { ROOT } from '../support/hub-server.mjs';
import { childEnvironment, npm, run } from '../support/processes.mjs';

let directory;
let tarball;
let files;

before(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-package-'));
  const args = ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', directory];
  const output = await run('npm pack', npm, args, { cwd: ROOT });
  const [packed] = JSON.parse(output.slice(output.indexOf('[')));
  tarball = path.join(directory, path.basename(packed.filename));
  files = packed.files.map((file) => file.path);
});

after(() => fs.rm(directory, { recursive: true, force: true }));

test('a checkout whose binary cannot be built packs nothing and says so in one line', async (t) => {
  const checkout = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-checkout-'));
  t.after(() => fs.rm(checkout, { recursive: true, force: true }));
  for (const name of ['package.json', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'js', 'scripts']) {
    await fs.cp(path.join(ROOT, name), path.join(checkout, name), { recursive: true });
  }
  const bin = path.join(checkout, 'bin');
  await fs.mkdir(bin);
  await fs.writeFile(path.join(bin, 'cargo'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = childEnvironment({ PATH: `${bin}${path.delimiter}${process.env.PATH}` });
  const { status, stdout, stderr } = spawnSync(npm, ['pack'], { cwd: checkout, env, encoding: 'utf8' });
  assert.notEqual(status, 0, stdout);
  assert.match(stderr, /^captify-hub: nothing was packed\. .+$/m);
  const names = await fs.readdir(checkout);
  assert.deepEqual(
    names.filter((name) => name.endsWith('.tgz')),
    [],
  );
});

test('the package has what it promises', async () => {
  const manifest = JSON.parse(await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'));
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  );
  const promised = [...targets, manifest.main, manifest.types, ...Object.values(manifest.bin)].map((target) =>
    path.posix.normalize(target),
  );
  promised.push(
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'server.mjs',
    'ecosystem.config.cjs',
    'ecosystem.cluster.config.cjs',
    'nginx/captify.conf',
    'Cargo.toml',
    'Cargo.lock',
    'build.rs',
    'rust-toolchain.toml',
    'src/lib.rs',
  );
  assert.deepEqual(
    promised.filter((file) => !files.includes(file)),
    [],
  );
  const entries = await fs.readdir(path.join(ROOT, 'js'), { recursive: true, withFileTypes: true });
  const scripts = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath ?? entry.path, entry.name)).replaceAll('\\', '/'));
  assert.deepEqual(files.filter((file) => file.startsWith('js/')).sort(), scripts.sort());
  assert.ok(
    files.some((file) => /^prebuilds\/[\w-]+\/hub\.node$/.test(file)),
    'there is no binary',
  );
});

test('the package has nothing else', () => {
  const allowed =
    /^(js|src|docs|prebuilds|nginx)\/|^(package\.json|LICENSE|README\.md|CHANGELOG\.md|Cargo\.(toml|lock)|build\.rs|rust-toolchain\.toml|(index|agent|admin|client|documents|monitoring|sockets)\.d\.ts|(agent-client|prosemirror|yjs)\.d\.mts|server\.(d\.ts|mjs)|ecosystem(\.cluster)?\.config\.cjs)$/;
  assert.deepEqual(
    files.filter((file) => !allowed.test(file)),
    [],
  );
  assert.deepEqual(
    files.filter((file) => /\.(new|log|tmp|env)$|tests?\.mjs$|~$/.test(file)),
    [],
  );
});

/** The files that `entry` and what it requires are made of. */
async function reachable(entry, found = new Map()) {
  if (found.has(entry)) return found;
  const source = await fs.readFile(entry, 'utf8');
  found.set(entry, source);
  for (const [, name] of source.matchAll(/require\('(\.[^']+)'\)/g)) {
    await reachable(path.resolve(path.dirname(entry), name), found);
  }
  return found;
}

test('what route handlers and browsers import has nothing of Node in it, nor of the binary', async () => {
  for (const entry of ['js/index.js', 'js/agent.js', 'js/admin.js', 'js/client.js', 'js/agent-client.mjs']) {
    for (const [file, source] of await reachable(path.join(ROOT, entry))) {
      const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
      const found = /require\('[^.][^']*'\)|^ *import\b.*from|\b(process\.\w|__dirname|\.node')/m.exec(code);
      assert.equal(found, null, `${path.relative(ROOT, file)}, which ${entry} needs: ${found?.[0]}`);
    }
  }
});

test('the provider of Y.js imports Y.js and its protocols, optional peers of the package, and nothing else', async () => {
  const directory = path.join(ROOT, 'js', 'yjs');
  const names = await fs.readdir(directory);
  assert.ok(names.length > 5);
  const imported = new Set();
  for (const file of [...names.map((name) => path.join(directory, name)), path.join(ROOT, 'js', 'yjs.mjs')]) {
    const source = await fs.readFile(file, 'utf8');
    for (const [, name] of source.matchAll(/from '([^']+)'/g)) if (!name.startsWith('./')) imported.add(name);
  }
  assert.deepEqual([...imported].sort(), ['../shared/errors.js', 'y-protocols/awareness', 'yjs']);
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'),
  );
  for (const name of ['y-protocols', 'yjs']) {
    assert.ok(peerDependencies[name], name);
    assert.ok(peerDependenciesMeta[name].optional, name);
  }
});

test('the plugin of ProseMirror imports prosemirror packages that are optional peers, and nothing else', async () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'),
  );
  const imported = new Set();
  for (const file of files.filter((name) => /^js\/prosemirror(\/|\.)/.test(name))) {
    const source = await fs.readFile(path.join(ROOT, file), 'utf8');
    for (const [, name] of source.matchAll(/\b(?:from|import) '([^.][^']*)'/g)) imported.add(name);
  }
  const peers = Object.keys(peerDependencies).filter((name) => name.startsWith('prosemirror-'));
  assert.deepEqual([...imported].sort(), peers);
  for (const name of peers) assert.equal(peerDependenciesMeta[name].optional, true, name);
});

test('what route handlers import brings under 15 KB into their bundle, before it is minified', async (t) => {
  const sources = [...(await reachable(path.join(ROOT, 'js/index.js'))).values()];
  const bytes = Buffer.byteLength(sources.join(''));
  t.diagnostic(`${bytes} bytes in ${sources.length} files`);
  assert.ok(sources.length > 5 && bytes < 15_000, `${bytes}`);
});

test('installing it runs nothing and brings jose along, which brings nothing', async () => {
  const { dependencies, scripts } = JSON.parse(await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'));
  assert.deepEqual(Object.keys(dependencies), ['jose']);
  const jose = JSON.parse(await fs.readFile(path.join(ROOT, 'node_modules', 'jose', 'package.json'), 'utf8'));
  assert.deepEqual(Object.keys({ ...jose.dependencies, ...jose.optionalDependencies, ...jose.peerDependencies }), []);
  assert.deepEqual(
    ['preinstall', 'install', 'postinstall'].filter((name) => jose.scripts?.[name]),
    [],
  );
  const lifecycle = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish'];
  assert.deepEqual(
    lifecycle.filter((name) => scripts[name]),
    [],
  );
});

test('publint finds nothing to say', async () => {
  const program = path.join(ROOT, 'node_modules', 'publint', 'src', 'cli.js');
  await run('publint', process.execPath, [program, 'run', tarball, '--strict'], { cwd: ROOT, env: childEnvironment() });
});

// These are for browsers and their bundlers, so they are ES modules only.
const ESM = ['./agent-client', './prosemirror', './yjs'];
for (const [what, args] of [
  ['for every kind of importer', ['--profile', 'node16', '--exclude-entrypoints', ...ESM]],
  ['for importers of ES modules in those that are nothing else', ['--profile', 'esm-only', '--entrypoints', ...ESM]],
]) {
  test(`are-the-types-wrong finds nothing wrong, ${what}`, async () => {
    const program = path.join(ROOT, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js');
    await run('attw', process.execPath, [program, tarball, '--no-emoji', '--no-color', ...args], {
      cwd: ROOT,
      env: childEnvironment(),
    });
  });
}
