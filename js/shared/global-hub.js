'use strict';

const { HubError } = require('./errors.js');

/**
 * The number is the version of what is registered there (`RunningHub` below). A bundler may copy this file many times
 * and an app may hold two versions of the package; all copies of one version meet in this key of `globalThis`.
 */
const VERSION = 1;
const PREFIX = '@captify-io/hub';
const KEY = Symbol.for(`${PREFIX}@${VERSION}`);

/**
 * @typedef {object} RunningHub what copies of the package may use of the hub, whichever copy started it
 * @property {(documentId: string, clientID: string | undefined, message: string) => number} publish
 * @property {(path: string, message: string) => number} broadcast
 * @property {(name: string) => number} connectionCount
 * @property {(path: string) => number} endpointCount
 * @property {() => string[]} documents
 * @property {(handler: import('../index.js').WebSocketHandler) => void} serve
 * @property {(userId: string, documentId: string, access: 'read' | 'write' | false) => number} setAccess
 * @property {(userId: string, code: number, reason: string) => number} disconnectUser
 * @property {(documentId: string) => Promise<number>} recheckAccess
 * @property {(about: object) => Promise<number>} renewSession
 */

/** @returns {RunningHub | undefined} */
function runningHub() {
  return globalThis[KEY];
}

/** @returns {RunningHub} */
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

/** @param {RunningHub} hub */
function register(hub) {
  Object.defineProperty(globalThis, KEY, { value: hub, configurable: true, enumerable: false, writable: false });
}

/** @param {RunningHub} hub */
function unregister(hub) {
  if (globalThis[KEY] === hub) delete globalThis[KEY];
}

module.exports = { runningHub, requireHub, register, unregister };
