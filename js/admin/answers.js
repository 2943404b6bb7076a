'use strict';

// Answers of the admin route, each with the headers that keep it to itself: nothing of it is stored, framed, indexed, told
// to other sites or sniffed, and a page may load only what the route serves.

const { FILES, REFUSED, SHELL } = require('./assets.js');

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex, nofollow',
};

const HTML = 'text/html; charset=utf-8';

function respond(status, type, body, more = {}) {
  return new Response(body, { status, headers: { ...HEADERS, 'content-type': type, ...more } });
}

function json(status, value) {
  return respond(status, 'application/json; charset=utf-8', JSON.stringify(value));
}

function notHere() {
  return json(404, { code: 'ADMIN_NOT_FOUND', error: 'there is nothing here' });
}

/** The same for everybody who may not come in, and without a word about what is behind. */
function refused({ headers }) {
  if (!/\btext\/html\b/.test(headers.get('accept') ?? '')) return json(403, { code: 'FORBIDDEN', error: 'Forbidden' });
  const { html, policy } = REFUSED;
  return respond(403, HTML, html, { 'content-security-policy': policy });
}

/**
 * The page. Where a policy of the app's own asks for a nonce, which Next reads from the request, its script and style
 * carry it, too: both policies hold.
 */
function page({ headers }) {
  const nonce = /'nonce-([\w+/-]+={0,2})'/.exec(headers.get('content-security-policy') ?? '')?.[1];
  return respond(200, HTML, SHELL.replaceAll('$NONCE', nonce ? ` nonce="${nonce}"` : ''));
}

/** A file of the page. What has its version in its address never changes. */
function file({ headers }, name, version) {
  const known = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
  if (!known) return notHere();
  const etag = `"${known.version}"`;
  const kept = version === known.version ? 'private, max-age=31536000, immutable' : 'no-store';
  const more = { etag, 'cache-control': kept };
  if (headers.get('if-none-match') === etag)
    return new Response(null, { status: 304, headers: { ...HEADERS, ...more } });
  return respond(200, known.type, known.text, more);
}

module.exports = { file, json, notHere, page, refused };
