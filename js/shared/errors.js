'use strict';

/** What every call rejects with or throws. The codes are listed in index.d.ts. */
class HubError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{ cause?: unknown }} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = 'HubError';
    this.code = code;
  }
}

/** Errors of the native side carry the code already; this gives them the class. */
function fromNative(error) {
  const code = typeof error?.code === 'string' && error.code.startsWith('HUB_') ? error.code : 'HUB_INTERNAL';
  return new HubError(code, error?.message ?? String(error), { cause: error });
}

/** @returns {never} */
function invalid(message) {
  throw new HubError('HUB_INVALID_ARGUMENT', message);
}

module.exports = { HubError, fromNative, invalid };
