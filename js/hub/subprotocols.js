'use strict';

const { rawHeader } = require('../admission/forwarded.js');

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * The subprotocols that a client offers, in its order; null where it offers no list of different tokens, which the native
 * side refuses with 400.
 *
 * @returns {Set<string> | null}
 */
function offeredProtocols(header) {
  const tokens = header.split(',').map((token) => token.replace(/^[ \t]+|[ \t]+$/g, ''));
  const offered = new Set(tokens);
  return offered.size === tokens.length && tokens.every((token) => TOKEN.test(token)) ? offered : null;
}

/**
 * The subprotocol to answer an upgrade with, as npm `ws` chooses it: what `handleProtocols` of the handler says, or else
 * the first that is offered.
 *
 * @param handler the one of the path; undefined for the fabric endpoint and for paths that nobody serves
 * @returns {string | undefined} empty for none; undefined where none is offered
 */
function chooseProtocol(request, handler) {
  const header = rawHeader(request, 'sec-websocket-protocol');
  if (header === undefined) return undefined;
  const offered = offeredProtocols(header);
  if (!offered) return '';
  const [first] = offered;
  if (typeof handler?.handleProtocols !== 'function') return first;
  const chosen = handler.handleProtocols(offered, request);
  if (chosen === false || chosen === undefined || chosen === null || chosen === '') return '';
  if (offered.has(chosen)) return chosen;
  throw new TypeError(
    `handleProtocols of ${handler.path} answered ${String(chosen)}, which the client has not offered`,
  );
}

module.exports = { chooseProtocol };
