'use strict';

const { existsSync, readFileSync } = require('node:fs');
const { join, resolve } = require('node:path');

const { HubError } = require('../shared/errors.js');
const { BUILD, loadFailure } = require('./load-failure.js');
const { version } = require('../../package.json');

const ROOT = join(__dirname, '..', '..');

/**
 * Whether this process runs on musl, by what is mapped into it. A report of Node's says it, too, but it looks up the names
 * of both ends of every open socket, one by one and with Node standing still, which Node 20.11 cannot be told not to do.
 */
function isMusl() {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-');
  } catch {
    return false;
  }
}

let platform;

/** The name of this platform's directory under prebuilds/. */
function platformName() {
  platform ??= `${process.platform}-${process.arch}${process.platform === 'linux' && isMusl() ? '-musl' : ''}`;
  return platform;
}

/** Where the binary is looked for: `HUB_NATIVE_PATH`, which overrides everything, or this platform's prebuild. */
function binaryPath() {
  const override = process.env.HUB_NATIVE_PATH;
  return override ? resolve(override) : join(ROOT, 'prebuilds', platformName(), 'hub.node');
}

/** Errors of the native side carry the code already; this gives them the class. */
function fromNative(error) {
  const code = typeof error?.code === 'string' && error.code.startsWith('HUB_') ? error.code : 'HUB_INTERNAL';
  return new HubError(code, error?.message ?? String(error), { cause: error });
}

let loaded;

/** Loads the binary, once. */
function loadNative() {
  if (loaded) return loaded;
  const path = binaryPath();
  const name = platformName();
  if (!existsSync(path)) {
    throw new HubError(
      'HUB_BINARY_MISSING',
      `@captify-io/hub ${version} has no binary for ${name}: looked for ${path}. ` +
        `Build it with \`${BUILD}\` (needs Rust 1.91 or newer), or set HUB_NATIVE_PATH.`,
    );
  }
  let native;
  try {
    native = require(path);
  } catch (error) {
    throw new HubError(
      'HUB_BINARY_INVALID',
      `@captify-io/hub ${version} could not load its binary for ${name}, ${path}: ${loadFailure(error, path)}`,
      { cause: error },
    );
  }
  const built = native.NativeHub?.version?.();
  if (built !== version) {
    throw new HubError(
      'HUB_BINARY_INVALID',
      `@captify-io/hub is ${version}, but its binary for ${name}, ${path}, is ${built ?? 'none of the hub'}. ` +
        `Build it anew with \`${BUILD}\`.`,
    );
  }
  loaded = native;
  return native;
}

module.exports = { fromNative, loadNative, platformName, ROOT };
