'use strict';

const { log } = require('../shared/log.js');

let isWarned = false;

/**
 * Who asks, as the app's `authorize` says: `true`, or an object with a name. Every other answer is a no; a `Response` is one
 * that says where to sign in. What it throws is left to Next, which has errors of its own for redirects and such.
 *
 * @returns {Promise<{ name?: string } | Response | null>}
 */
async function authorized(authorize, request) {
  const answer = await authorize(request);
  if (answer === true) return {};
  if (answer instanceof Response) return answer;
  if (typeof answer?.name === 'string' && answer.name !== '') return { name: answer.name };
  if (answer && !isWarned) {
    isWarned = true;
    log('warning', 'authorize of createAdminRoute answered neither true nor { name }, which counts as no');
  }
  return null;
}

module.exports = { authorized };
