#!/usr/bin/env node
'use strict';

const { spawnSync } = require('node:child_process');
const { copyFileSync, mkdirSync, renameSync } = require('node:fs');
const { dirname, join } = require('node:path');

const { platformName, ROOT } = require('./native.js');

const LIBRARIES = { darwin: 'libcaptify_hub.dylib', win32: 'captify_hub.dll' };

/** Builds the binary of this platform from the sources that the package carries. */
function build() {
  const target = join(ROOT, 'target');
  const args = ['build', '--release', '--locked', '--lib', '--target-dir', target];
  const { status, error } = spawnSync('cargo', args, { cwd: ROOT, stdio: 'inherit' });
  if (error?.code === 'ENOENT') {
    console.error('captify-hub: cargo was not found. Install Rust 1.91 or newer, then run this again.');
    return 1;
  }
  if (status !== 0) return status ?? 1;
  const library = join(target, 'release', LIBRARIES[process.platform] ?? 'libcaptify_hub.so');
  const binary = join(ROOT, 'prebuilds', platformName(), 'hub.node');
  mkdirSync(dirname(binary), { recursive: true });
  // Never written in place: a process that has the old file mapped would crash.
  copyFileSync(library, `${binary}.new`);
  renameSync(`${binary}.new`, binary);
  console.log(`captify-hub: built ${binary}`);
  return 0;
}

if (process.argv[2] === 'build') {
  process.exitCode = build();
} else {
  console.log('usage: captify-hub build    builds the native binary of this platform (needs Rust)');
  process.exitCode = process.argv.length > 2 ? 2 : 0;
}
