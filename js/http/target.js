'use strict';

// The request target in the forms RFC 9112, section 3.2 allows. Everything behind this file knows the origin-form.

const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]+)([^#]*)/i;

/** A target in absolute-form as origin-form; another as it is. */
function originForm(url = '') {
  if (url.startsWith('/')) return url;
  const rest = ABSOLUTE.exec(url)?.[2];
  if (rest === undefined) return url;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * Rewrites a request in absolute-form, which a server must accept, to origin-form. Its authority is then the host,
 * whatever the `Host` header said.
 */
function toOriginForm(request) {
  const { url = '' } = request;
  const found = url.startsWith('/') ? null : ABSOLUTE.exec(url);
  if (!found) return;
  request.url = originForm(url);
  const host = found[1].slice(found[1].lastIndexOf('@') + 1);
  const { rawHeaders } = request;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index].toLowerCase() === 'host') rawHeaders[index + 1] = host;
  }
  request.headers.host = host;
}

module.exports = { originForm, toOriginForm };
