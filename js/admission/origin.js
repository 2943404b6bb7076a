'use strict';

// Whose pages may open a WebSocket here. A browser sends a user's cookies along with a WebSocket from any page, and
// only the Origin header tells whose page it is.

const { invalid } = require('../shared/errors.js');

/** An origin of the web, also with its scheme's own port, which RFC 6454 leaves out and not every client does. */
const WEB = /^https?:\/\/[^/?#@\\\s]+$/i;

/** The origin of an app that is no page of the web: `capacitor://localhost`, `app://.`, `chrome-extension://…`, `file://`. */
const APP = /^(?!(?:https?|wss?):)[a-z][a-z\d+.-]*:\/\/[^/?#@*\\\s]*$/i;

/** The URL of an origin of the web; nothing for anything else, such as what has a path: no browser sends more. */
function web(text) {
  if (!WEB.test(text)) return undefined;
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** A rule of a header's text and, where it is an origin of the web, its URL. */
function pattern(text) {
  // What is exactly one text and has no parts: `null` is what sandboxed frames and files have.
  if (text === 'null' || APP.test(text)) return (header) => header.toLowerCase() === text.toLowerCase();
  const [, scheme, any, rest] = /^(https?:\/\/)(\*\.)?([^*]+)$/i.exec(text) ?? [];
  const url = web(`${scheme}${rest}`);
  if (!url) {
    invalid(
      `option allowedOrigins has ${JSON.stringify(text)}; an origin is like 'https://app.example', 'https://*.example' or 'capacitor://localhost'`,
    );
  }
  return any
    ? (header, from) =>
        from?.protocol === url.protocol && from.port === url.port && from.hostname.endsWith(`.${url.hostname}`)
    : (header, from) => from?.origin === url.origin;
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
    const url = web(header);
    return (url !== undefined && isSame(url, from)) || patterns.some((matches) => matches(header, url));
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
  return asked(url, host)?.host === url.host;
}

/** What a server was asked for as, by the scheme of a page. */
const asked = (url, host) => web(`${url.protocol}//${host}`);

const LIST = 'list the origin in allowedOrigins';

/**
 * What helps where an origin was refused: constant sentences, since they stand in events, which are told apart by them.
 *
 * @param {string} header the Origin
 * @param from see requestSource
 * @param {string} [unheard] what X-Forwarded-Host said
 */
function advice(header, from, unheard) {
  const url = web(header);
  if (!url) return `it is no web page's; if it is that of an app of yours, ${LIST}, letter by letter`;
  if (unheard && isSame(url, { host: unheard })) {
    return asked(url, from.host)?.host === asked(url, unheard).host
      ? schemes(from)
      : 'X-Forwarded-Host has its host, which counts only from a peer in trustProxy: name the proxy or tunnel there';
  }
  const own = from.host && asked(url, from.host);
  if (own?.host === url.host) return schemes(from);
  if (own?.hostname === url.hostname)
    return `only the port differs: have the proxy pass Host on with its port ($http_host in nginx), or ${LIST}`;
  return `${LIST}; if it is this app's own, a proxy or tunnel has rewritten Host: have it pass Host on, or send X-Forwarded-Host and name it in trustProxy`;
}

function schemes({ secure }) {
  const used = secure ? 'https' : 'http';
  return `only the scheme differs, this request came by ${used}: have the proxy that ends TLS send X-Forwarded-Proto and those behind it keep it, or ${LIST}`;
}

module.exports = { originRule, advice };
