'use strict';

const { existsSync, readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname, join } = require('node:path');

const { HubError } = require('../shared/errors.js');

/**
 * Lets Next start from what `output: 'standalone'` has copied. That leaves out webpack, without which Next can only load a
 * configuration that it is given whole; Next's own standalone server.js hands it over in this variable, and so does this.
 * The build has written it down beside what it built.
 */
function useStandaloneConfig(dir, env = process.env) {
  if (env.__NEXT_PRIVATE_STANDALONE_CONFIG || hasWebpack(dir)) return;
  const file = join(dir, '.next', 'required-server-files.json');
  if (!existsSync(file)) return;
  env.__NEXT_PRIVATE_STANDALONE_CONFIG = JSON.stringify(JSON.parse(readFileSync(file, 'utf8')).config);
}

function hasWebpack(dir) {
  const next = dirname(createRequire(join(dir, 'package.json')).resolve('next/package.json'));
  return existsSync(join(next, 'dist', 'compiled', 'webpack', 'webpack-lib.js'));
}

/** What Next's failure to find a part of itself means; every other error as it is. */
function explainIncompleteNext(error, dir) {
  if (error?.code !== 'MODULE_NOT_FOUND') return error;
  const missing = /Cannot find module '([^']*)'/.exec(error.message)?.[1] ?? '';
  // Next asks for its parts by whole names and, from one of its own files, by relative ones.
  const [asker = ''] = error.requireStack ?? [];
  const isOfNext = (name) => /(^|[\\/])next[\\/]dist[\\/]/.test(name);
  if (!isOfNext(missing) && !(missing.startsWith('.') && isOfNext(asker))) return error;
  return new HubError(
    'HUB_NEXT_MISSING',
    `The next in ${dir} has no ${missing}. output: 'standalone' leaves out what it does not trace; see "An image" in the README ` +
      'of @captify-io/hub for what to add and to copy.',
    { cause: error },
  );
}

module.exports = { useStandaloneConfig, explainIncompleteNext };
