'use strict';

const { existsSync } = require('node:fs');
const { join, resolve } = require('node:path');

const { HubError } = require('./errors.js');
const { version } = require('../package.json');

const BUILD = 'npx captify-hub build';
const ROOT = join(__dirname, '..');

/** The name of this platform's directory under prebuilds/. */
function platformName() {
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
  return `${process.platform}-${process.arch}${musl ? '-musl' : ''}`;
}

/** Where the binary is looked for: `HUB_NATIVE_PATH`, which overrides everything, or this platform's prebuild. */
function binaryPath() {
  const override = process.env.HUB_NATIVE_PATH;
  return override ? resolve(override) : join(ROOT, 'prebuilds', platformName(), 'hub.node');
}

let loaded;

/** Loads the binary, once. */
function loadNative() {
  if (loaded) return loaded;
  const path = binaryPath();
  const platform = platformName();
  if (!existsSync(path)) {
    throw new HubError(
      'HUB_BINARY_MISSING',
      `@captify-io/hub ${version} has no binary for ${platform}: looked for ${path}. ` +
        `Build it with \`${BUILD}\` (needs Rust 1.91 or newer), or set HUB_NATIVE_PATH.`,
    );
  }
  let native;
  try {
    native = require(path);
  } catch (error) {
    throw new HubError(
      'HUB_BINARY_INVALID',
      `@captify-io/hub ${version} could not load its binary for ${platform}, ${path}: ${error.message}. ` +
        `Build it anew with \`${BUILD}\`.`,
      { cause: error },
    );
  }
  const built = native.NativeHub?.version?.();
  if (built !== version) {
    throw new HubError(
      'HUB_BINARY_INVALID',
      `@captify-io/hub is ${version}, but its binary for ${platform}, ${path}, is ${built ?? 'none of the hub'}. ` +
        `Build it anew with \`${BUILD}\`.`,
    );
  }
  loaded = native;
  return native;
}

module.exports = { loadNative, platformName, ROOT };
