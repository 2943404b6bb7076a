'use strict';

// The route of the admin page. All it serves has one path, that of the route, and differs by the query: relative addresses
// of nothing but a query hold below a base path, behind a trailing slash and behind proxies that cut a prefix off.

const { CallFault, act } = require('./actions.js');
const { authorized } = require('./authorize.js');
const { invalid } = require('../shared/errors.js');
const { json, notHere, page, file, refused } = require('./answers.js');
const { report } = require('./report.js');
const { foreignRead, foreignWrite, notJson } = require('./same-origin.js');
const { view } = require('./views.js');

/** Longest body of an action, in bytes: ids have 512 at most. */
const MAX_BODY_BYTES = 16 * 1024;

function createAdminRoute(options) {
  const authorize = options?.authorize;
  if (typeof authorize !== 'function') {
    invalid(
      'createAdminRoute needs authorize, a function that answers whether a request may see and use the page: ' +
        'without one it would be open to everybody',
    );
  }
  const guarded = (answer) => async (request, context) => {
    const who = await authorized(authorize, request);
    if (!who) return refused(request);
    if (who instanceof Response) return who;
    if (await isBelow(context)) return notHere();
    return answer(request, who);
  };
  return { GET: guarded(read), POST: guarded(write) };
}

/** Whether a catch-all route was asked for something below itself. */
async function isBelow(context) {
  const params = (await context?.params) ?? {};
  return Object.values(params).some((part) => Array.isArray(part) && part.length > 0);
}

async function read(request, who) {
  const query = new URL(request.url).searchParams;
  if (query.has('file')) return file(request, query.get('file'), query.get('v'));
  if (!query.has('data')) return page(request);
  if (foreignRead(request)) return json(403, { code: 'ADMIN_OTHER_ORIGIN', error: foreignRead(request) });
  const answer = await view(query.get('data'), query);
  return answer ? json(200, { ...answer, name: who.name }) : notHere();
}

async function write(request, who) {
  const foreign = foreignWrite(request);
  if (foreign) {
    report('ADMIN_REFUSED', { by: who.name, origin: request.headers.get('origin') ?? undefined, hint: foreign });
    return json(403, { code: 'ADMIN_OTHER_ORIGIN', error: foreign });
  }
  const wrong = notJson(request);
  if (wrong) return json(415, { code: 'ADMIN_NOT_JSON', error: wrong });
  const body = await bodyOf(request);
  if (body === undefined) return json(413, { code: 'ADMIN_TOO_LONG', error: `more than ${MAX_BODY_BYTES} bytes` });
  try {
    return json(200, { result: await act(body, who.name) });
  } catch (error) {
    if (!(error instanceof CallFault)) throw error;
    return json(error.status, { code: error.code, error: error.message });
  }
}

/** The text of a body, no more of which is read than may be there; undefined where there is more. */
async function bodyOf(request) {
  const reader = request.body?.getReader();
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for (let part; reader && !(part = await reader.read()).done;) {
    bytes += part.value.byteLength;
    if (bytes > MAX_BODY_BYTES) {
      await reader.cancel();
      return undefined;
    }
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
}

module.exports = { createAdminRoute };
