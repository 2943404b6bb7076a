'use strict';

const { wellFormed } = require('../shared/arguments.js');
const { invalid } = require('../shared/errors.js');

/** Codes below 3000 by which a server ends a connection of its own will (RFC 6455, section 7.4). */
const OWN = [1000, 1001, 1008, 1012, 1013];

/** Codes a close frame may carry: those of RFC 6455 and its registry, and those of libraries and applications. */
function isSendable(code) {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  );
}

/** Code and reason by which the app closes connections. */
function closeOf(code, reason) {
  const isOfApps = Number.isInteger(code) && code >= 3000 && code <= 4999;
  if (!isOfApps && !OWN.includes(code)) invalid(`code must be ${OWN.join(', ')}, or from 3000 to 4999`);
  return [code, wellFormed(reason, 'reason')];
}

module.exports = { closeOf, isSendable };
