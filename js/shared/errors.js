'use strict';

/** What every call rejects with or throws. The codes are listed in index.d.ts. */
class HubError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'HubError';
    this.code = code;
  }
}

/** @returns {never} */
function invalid(message) {
  throw new HubError('HUB_INVALID_ARGUMENT', message);
}

module.exports = { HubError, invalid };
