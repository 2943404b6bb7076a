'use strict';

const { runningHub } = require('../shared/global-hub.js');

/**
 * Puts into the hub's security log what was done, or tried, on the admin page.
 *
 * @param {'ADMIN_ACTION' | 'ADMIN_REFUSED'} code
 * @param {{ by?: string, user?: string, document?: string, origin?: string, hint?: string }} about
 */
function report(code, about) {
  runningHub()?.reportSecurityEvent(code, about);
}

module.exports = { report };
