#!/usr/bin/env node
'use strict';

const { spawnSync } = require('node:child_process');
const { copyFileSync, mkdirSync, renameSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { parseArgs } = require('node:util');

const { neededGlibc } = require('./hub/load-failure.js');
const { platformName, ROOT } = require('./hub/native.js');

const LIBRARIES = { darwin: 'libcaptify_hub.dylib', win32: 'captify_hub.dll' };
const RUST_ARCHITECTURES = { x64: 'x86_64', arm64: 'aarch64' };

const USAGE = `usage: captify-hub build [--glibc 2.28]
  build            builds the native binary of this platform (needs Rust)
  --glibc <2.n>    for systems with this glibc and newer (needs cargo-zigbuild as well); else for this system's`;

/** Cargo's arguments, and the directory below target/ where it leaves the library. */
function cargo(glibc) {
  const args = ['--release', '--locked', '--lib', '--target-dir', join(ROOT, 'target')];
  if (!glibc) return { args: ['build', ...args], directory: 'release' };
  const triple = `${RUST_ARCHITECTURES[process.arch]}-unknown-linux-gnu`;
  return { args: ['zigbuild', ...args, '--target', `${triple}.${glibc}`], directory: join(triple, 'release') };
}

/** Builds the binary of this platform from the sources that the package carries. */
function build(glibc) {
  if (glibc && !(platformName().startsWith('linux-') && RUST_ARCHITECTURES[process.arch])) {
    console.error(`captify-hub: there is no glibc to build for on ${platformName()}.`);
    return 2;
  }
  const { args, directory } = cargo(glibc);
  const { status, error } = spawnSync('cargo', args, { cwd: ROOT, stdio: 'inherit' });
  if (error?.code === 'ENOENT') {
    console.error('captify-hub: cargo was not found. Install Rust 1.91 or newer, then run this again.');
    return 1;
  }
  if (status !== 0) {
    if (glibc) console.error('captify-hub: --glibc needs zig and cargo-zigbuild: pip install ziglang cargo-zigbuild');
    return status ?? 1;
  }
  const library = join(ROOT, 'target', directory, LIBRARIES[process.platform] ?? 'libcaptify_hub.so');
  const needed = neededGlibc(library);
  if (glibc && needed && Number(needed.slice(2)) > Number(glibc.slice(2))) {
    console.error(`captify-hub: what was built needs glibc ${needed}, not ${glibc}`);
    return 1;
  }
  const binary = join(ROOT, 'prebuilds', platformName(), 'hub.node');
  mkdirSync(dirname(binary), { recursive: true });
  // Never written in place: a process that has the old file mapped would crash.
  copyFileSync(library, `${binary}.new`);
  renameSync(`${binary}.new`, binary);
  console.log(`captify-hub: built ${binary}${needed ? `, which needs glibc ${needed} or newer` : ''}`);
  return 0;
}

function main() {
  let asked;
  try {
    asked = parseArgs({ allowPositionals: true, options: { glibc: { type: 'string' } } });
  } catch (error) {
    console.error(`captify-hub: ${error.message}`);
    return 2;
  }
  const { positionals, values } = asked;
  const isBuild = positionals.length === 1 && positionals[0] === 'build';
  if (isBuild && (values.glibc === undefined || /^2\.\d+$/.test(values.glibc))) return build(values.glibc);
  console.log(USAGE);
  return process.argv.length > 2 ? 2 : 0;
}

process.exitCode = main();
