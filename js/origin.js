'use strict';

// Whose pages may open a WebSocket here. A browser sends a user's cookies along with a WebSocket from any page, and
// only the Origin header tells whose page it is.

const { invalid } = require('./errors.js');

const SCHEMES = ['http:', 'https:'];

/** `https://a.example` or `https://*.a.example`, with a port where it is not the scheme's own. */
function pattern(text) {
  const match = /^(https?:)\/\/(\*\.)?([^/?#@*\s]+)$/i.exec(text);
  let url;
  try {
    url = match && new URL(`${match[1]}//${match[3]}`);
  } catch {
    url = null;
  }
  if (!url) {
    invalid(
      `option allowedOrigins has ${JSON.stringify(text)}; an origin is like 'https://app.example' or 'https://*.example'`,
    );
  }
  return match[2]
    ? ({ protocol, port, hostname }) =>
        protocol === url.protocol && port === url.port && hostname.endsWith(`.${url.hostname}`)
    : ({ origin }) => origin === url.origin;
}

/** Checks the option allowedOrigins: `'same'`, `'any'`, or a list of origins beside the same one. */
function originRule(value) {
  if (value === 'any') return () => true;
  if (value !== 'same' && !(Array.isArray(value) && value.every((origin) => typeof origin === 'string'))) {
    invalid("option allowedOrigins must be 'same', 'any' or a list of origins");
  }
  const patterns = value === 'same' ? [] : value.map(pattern);
  return (header, from) => {
    // No browser leaves it out, so there are no cookies of somebody else's here.
    if (header === undefined) return true;
    if (isOwn(header, from)) return true;
    let url;
    try {
      url = new URL(header);
    } catch {
      return false;
    }
    // Whoever sends more than an origin is no browser.
    if (url.origin !== header.toLowerCase() || !SCHEMES.includes(url.protocol)) return false;
    return isSame(url, from) || patterns.some((matches) => matches(url));
  };
}

/** Whether it is this very server's, as browsers write it: without a look at what its parts are. */
function isOwn(header, { host, secure }) {
  if (host === undefined) return false;
  return (secure !== true && header === `http://${host}`) || (secure !== false && header === `https://${host}`);
}

/** Whether a page's origin is the one that was asked. The scheme counts where it is known which one was used. */
function isSame(url, { host, secure }) {
  if (!host || (secure !== undefined && secure !== (url.protocol === 'https:'))) return false;
  try {
    return new URL(`${url.protocol}//${host}`).host === url.host;
  } catch {
    return false;
  }
}

module.exports = { originRule };
