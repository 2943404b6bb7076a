// The layers of the crate, as src/lib.rs lists them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { circles, rustImports, rustLayers, upwardImports } from '../scripts/imports.mjs';

const root = fileURLToPath(new URL('../src', import.meta.url));

test('no file of the crate is in a circle of imports', () => {
  const graph = rustImports(root);
  assert.ok(graph.size > 40, 'the files were found');
  assert.ok(graph.get('room/mod.rs').has('shard/mod.rs'), 'their imports were read');
  assert.deepEqual(circles(graph), []);
});

test('every file of the crate uses only what stands in its own folder or further down in the list of lib.rs', () => {
  const layers = rustLayers(root);
  assert.ok(layers.length > 10 && layers.flat().includes('room'), 'the list was read');
  assert.deepEqual(upwardImports(rustImports(root), layers), []);
});

test('an import that goes up is found, and a module that stands in no layer', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-layers-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.mkdirSync(path.join(folder, 'room'));
  const files = {
    'lib.rs':
      '//! - `server` (feature `x`): top.\n//! - [`room`], `sync`: below.\npub mod server;\npub mod room;\nmod sync;\nmod lost;\n',
    'server.rs': 'use crate::{room::Room, sync::lock};\n',
    'room/mod.rs': 'use crate::sync::lock;\nmod member;\n',
    'room/member.rs': 'fn leave() { crate::server::stop() }\n',
    'sync.rs': '',
    'lost.rs': '',
  };
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
  assert.deepEqual(rustLayers(folder), [
    ['server', 'x'],
    ['room', 'sync'],
  ]);
  assert.deepEqual(upwardImports(rustImports(folder), rustLayers(folder)), [
    'lost.rs stands in no layer',
    'room/member.rs uses server.rs',
  ]);
});
