// Who may import whom: no file stands in a circle with others.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { circles, javascriptImports, rustImports } from '../scripts/imports.mjs';
import { layerFaults } from './support/javascript-layers.mjs';

const projectRoot = fileURLToPath(new URL('..', import.meta.url));

function folderOf(t, files) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-layers-'));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }
  return root;
}

test('no JavaScript file of the package is in a circle of imports', () => {
  const graph = javascriptImports(path.join(projectRoot, 'js'));
  assert.ok(graph.size > 30, 'the files were found');
  assert.ok(
    [...graph.values()].some((imports) => imports.size > 0),
    'their imports were read',
  );
  assert.deepEqual(circles(graph), []);
});

test('JavaScript imports go down the layers only, and what is bundled stays in shared, client, agent, prosemirror and yjs', () => {
  assert.deepEqual(layerFaults(javascriptImports(path.join(projectRoot, 'js'))), []);
});

test('a JavaScript import that goes up or aside, or leads a bundle elsewhere, is named', (t) => {
  const root = folderOf(t, {
    'index.js': "require('./shared/errors.js');\nrequire('./shared/wrong.js');\n",
    'server.js': "require('./next/start.js');\nrequire('./index.js');\n",
    'shared/errors.js': '',
    'shared/wrong.js': "require('../http/refuse.js');\n",
    'http/refuse.js': "require('../shared/errors.js');\n",
    'hub/hub.js': "require('../http/refuse.js');\nrequire('../next/start.js');\n",
    'next/start.js': "require('../client/queue.js');\n",
    'client/queue.js': "require('../agent/parts.js');\n",
    'agent/parts.js': "require('../shared/errors.js');\n",
    'utils/any.js': '',
  });
  assert.deepEqual(layerFaults(javascriptImports(root)), [
    'client/queue.js uses agent/parts.js',
    'hub/hub.js uses next/start.js',
    'index.js reaches http/refuse.js',
    'next/start.js uses client/queue.js',
    'server.js uses index.js',
    'shared/wrong.js uses http/refuse.js',
    'utils/any.js is in a folder that is no layer',
  ]);
});

test('no file of the load generator is in a circle of imports', () => {
  const graph = rustImports(path.join(projectRoot, 'bench', 'load', 'src'));
  assert.ok(graph.get('plan.rs').has('modes/fanout.rs') || graph.get('plan.rs').has('modes.rs'));
  assert.deepEqual(circles(graph), []);
});

test('a circle of Rust files is found through groups, super, paths in code and names handed on', (t) => {
  const root = folderOf(t, {
    'lib.rs': 'pub mod a;\npub mod room;\nmod leaf;\n',
    'a.rs': 'use crate::{\n    leaf::Leaf,\n    room::{Room, batch::Batch as Other},\n};\n',
    'leaf.rs': '// use crate::a::A;\npub struct Leaf;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n',
    'room/mod.rs': 'mod batch;\nmod member;\npub use member::Member;\npub use batch::Batch;\n',
    'room/batch.rs': 'use super::Member;\n',
    'room/member.rs': 'fn of() -> crate::a::A { todo() }\n',
  });
  const graph = rustImports(root);
  assert.deepEqual([...graph.get('a.rs')].sort(), ['leaf.rs', 'room/batch.rs', 'room/mod.rs']);
  assert.deepEqual([...graph.get('leaf.rs')], []);
  assert.deepEqual([...graph.get('room/batch.rs')], ['room/member.rs']);
  assert.deepEqual(circles(graph), [['a.rs', 'room/batch.rs', 'room/member.rs']]);
});

test('a circle of JavaScript files is found through require, import and import()', (t) => {
  const root = folderOf(t, {
    'a.js': "const b = require('./deep/b.mjs');\n// require('./c.js')\n",
    'deep/b.mjs': "import { c } from '../c.js';\n",
    'c.js': "const a = () => import('./a.js');\n",
    'd.js': "require('./a.js');\nrequire('node:fs');\n",
  });
  assert.deepEqual(circles(javascriptImports(root)), [['a.js', 'c.js', 'deep/b.mjs']]);
});

test('no file has more than 500 lines', () => {
  const folders = ['src', 'js', 'tests', '__test__', 'scripts', 'bench/lib', 'bench/scenarios', 'bench/load/src'];
  const sources = folders.flatMap((folder) =>
    fs
      .readdirSync(path.join(projectRoot, folder), { recursive: true })
      .map((name) => path.join(folder, name))
      .filter((name) => /\.(rs|lua|m?js|m?ts|tsx)$/.test(name) && !/node_modules|\.next/.test(name)),
  );
  assert.ok(sources.length > 500, 'the files were found');
  const lines = (name) => fs.readFileSync(path.join(projectRoot, name), 'utf8').split('\n').length - 1;
  assert.deepEqual(
    sources.filter((name) => lines(name) > 500),
    [],
  );
});
