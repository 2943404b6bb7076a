'use strict';

// Where a request came from: what trusted proxies say, and nothing that a client could have written.

const { BlockList, isIP } = require('node:net');

const { invalid } = require('../shared/errors.js');

const NAMED = {
  loopback: ['127.0.0.0/8', '::1/128', 'unix'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
};

const family = (address) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** An address as text without the IPv6 form of IPv4; `undefined` for what is none. */
function plainAddress(text) {
  const address = text?.startsWith('::ffff:') && isIP(text.slice(7)) === 4 ? text.slice(7) : text;
  return isIP(address ?? '') ? address : undefined;
}

function add(list, entry) {
  const [address, bits, more] = String(entry).split('/');
  const longest = isIP(address) === 6 ? 128 : 32;
  const length = bits === undefined ? longest : Number(bits);
  if (
    !isIP(address) ||
    more !== undefined ||
    bits === '' ||
    !Number.isInteger(length) ||
    length < 0 ||
    length > longest
  ) {
    invalid(
      `option trustProxy has ${JSON.stringify(entry)}, which is no address, no CIDR range, nor one of 'loopback', 'private', 'unix'`,
    );
  }
  list.addSubnet(address, length, family(address));
}

/** The peer of a unix-domain socket, which has no address. Who is on this machine may be one. */
const UNIX = 'unix';

/** What Node emits for such a socket has a handle of this kind, below TLS too. */
function isUnix(socket) {
  const handle = socket?._handle;
  return (handle?._parent ?? handle)?.constructor?.name === 'Pipe';
}

/**
 * Checks the option trustProxy: `false`, an address, a CIDR range, `'loopback'`, `'private'`, `'unix'`, or a list of
 * them; `'loopback'` has `'unix'` in it. Answers `null` where nobody is trusted, else whether a peer is.
 */
function trustedProxies(value) {
  const entries = value === false ? [] : [value].flat();
  if (!entries.every((entry) => typeof entry === 'string'))
    invalid('option trustProxy must be false, a string or a list of strings');
  if (entries.length === 0) return null;
  const list = new BlockList();
  const named = entries.flatMap((entry) => NAMED[entry] ?? entry);
  for (const entry of named) if (entry !== UNIX) add(list, entry);
  const unix = named.includes(UNIX);
  return (peer) => (peer === UNIX ? unix : list.check(peer, family(peer)));
}

/** An address as some proxies write it: `1.2.3.4:5678`, `[::1]` or `[::1]:5678`. */
const withoutPort = (text) => text.replace(/^(?:\[(.*)\](?::\d+)?|([\d.]+):\d+)$/, '$1$2');

/** The last of a list that proxies append to: what the nearest one wrote. */
function last(header) {
  return header === undefined ? undefined : String(header).split(',').at(-1).trim() || undefined;
}

/**
 * What request.headers has under a name: the first Host, and of other headers all of them. Asking for request.headers
 * makes Node build that object, which is a part of the price of each connect.
 */
function rawHeader({ rawHeaders }, name) {
  const values = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const written = rawHeaders[index];
    if (written.length === name.length && written.toLowerCase() === name) values.push(rawHeaders[index + 1]);
  }
  return values.length < 2 || name === 'host' ? values[0] : values.join(', ');
}

/** Node stops keeping headers here, which are two entries each, and says nothing about it (`server.maxHeadersCount`). */
const MAX_HEADERS = 1000;

/**
 * Whether Node may have cut the list of headers, so that one which seems not to be there was sent: an Origin, a cookie,
 * an address that a proxy named. It takes them in 32 at a time, so where the limit is a multiple a full list may be a
 * cut one.
 */
function isCut({ rawHeaders, socket }) {
  const limit = socket?.server?.maxHeadersCount ?? MAX_HEADERS;
  return limit > 0 && rawHeaders.length >= 2 * limit;
}

/** One entry of X-Forwarded-For: an address, `'unix'` as nginx writes such a peer, or nothing. */
const entryOf = (text) => (text === 'unix:' ? UNIX : plainAddress(withoutPort(text)));

/**
 * @param {((peer: string) => boolean) | null} isProxy see trustedProxies
 * @returns {{ address?: string, forwarded: boolean, secure?: boolean, host?: string }} `forwarded` says that it came
 *   through a trusted proxy: then `address` is what that has named, if anything; `secure` is undefined where nobody can
 *   know whether a proxy ended TLS
 */
function requestSource(isProxy, request) {
  const { socket } = request;
  const own = plainAddress(socket?.remoteAddress);
  const peer = own ?? (isUnix(socket) ? UNIX : undefined);
  if (!isProxy || !peer || !isProxy(peer)) {
    const secure = socket?.encrypted ? true : undefined;
    return { address: own, forwarded: false, secure, host: rawHeader(request, 'host') };
  }
  const { headers } = request;
  let address;
  // From the right: each entry was written by the one that the entry after it names.
  for (const entry of String(headers['x-forwarded-for'] ?? '')
    .split(',')
    .reverse()) {
    const named = entryOf(entry.trim());
    if (!named) break;
    if (named !== UNIX) address = named;
    if (!isProxy(named)) break;
  }
  const proto = last(headers['x-forwarded-proto'])?.toLowerCase();
  return {
    // Where a trusted proxy names nobody, its own address, which all its clients share, is none of theirs.
    address,
    forwarded: true,
    secure: proto === undefined ? (socket.encrypted ? true : undefined) : proto === 'https' || proto === 'wss',
    host: last(headers['x-forwarded-host']) ?? headers.host,
  };
}

module.exports = { trustedProxies, requestSource, rawHeader, last, isCut };
