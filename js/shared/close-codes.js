'use strict';

// Which close codes may be given by whom. Bundle-safe, as index.js is.

/** Codes a close frame may carry: those of RFC 6455 and its registry, and those of libraries and applications. */
function isSendable(code) {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  );
}

/** Of the codes below 3000 those by which a server ends a connection of its own will (RFC 6455, section 7.4). */
const BY_WILL = [1000, 1001, 1008, 1012, 1013];

/** Codes that an app may close a user's connections with. */
function isForUsers(code) {
  return Number.isInteger(code) && isSendable(code) && (code >= 3000 || BY_WILL.includes(code));
}

module.exports = { BY_WILL, isForUsers, isSendable };
