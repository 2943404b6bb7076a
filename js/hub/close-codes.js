'use strict';

/** Codes a close frame may carry: those of RFC 6455 and its registry, and those of libraries and applications. */
function isSendable(code) {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  );
}

module.exports = { isSendable };
