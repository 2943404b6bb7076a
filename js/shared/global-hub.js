'use strict';

const { HubError } = require('./errors.js');

/**
 * The number is the version of what is registered there (`RunningHub`). A bundler may copy this file many times
 * and an app may hold two versions of the package; all copies of one version meet in this key of `globalThis`.
 */
const VERSION = 3;
const PREFIX = '@captify-io/hub';
const KEY = Symbol.for(`${PREFIX}@${VERSION}`);

/** @returns {import('../hub/running-hub.js').RunningHub | undefined} */
function runningHub() {
  return globalThis[KEY];
}

function requireHub() {
  const hub = runningHub();
  if (hub) return hub;
  const other = Object.getOwnPropertySymbols(globalThis)
    .map((symbol) => Symbol.keyFor(symbol))
    .find((name) => name?.startsWith(`${PREFIX}@`));
  if (other) {
    throw new HubError(
      'HUB_VERSION_MISMATCH',
      `The running hub is registered as ${other}, this copy of ${PREFIX} looks for ${PREFIX}@${VERSION}. ` +
        'Install one version of the package, rebuild the app and restart it.',
    );
  }
  throw new HubError(
    'HUB_NOT_RUNNING',
    'No hub runs in this process. Start the app with `node server.mjs` (which calls startServer from ' +
      `${PREFIX}/server), not with \`next start\` or \`next dev\`. During \`next build\`, in edge functions and in ` +
      'worker threads there is none.',
  );
}

module.exports = { KEY, runningHub, requireHub };
