'use strict';

// Where a request came from: what trusted proxies say, and nothing that a client could have written.

const { BlockList, isIP } = require('node:net');

const { invalid } = require('./errors.js');

const NAMED = {
  loopback: ['127.0.0.0/8', '::1/128'],
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
      `option trustProxy has ${JSON.stringify(entry)}, which is no address, no CIDR range, nor one of 'loopback', 'private'`,
    );
  }
  list.addSubnet(address, length, family(address));
}

/**
 * Checks the option trustProxy: `false`, an address, a CIDR range, `'loopback'`, `'private'`, or a list of them. Answers
 * `null` where nobody is trusted.
 */
function trustedProxies(value) {
  const entries = value === false ? [] : [value].flat();
  if (!entries.every((entry) => typeof entry === 'string'))
    invalid('option trustProxy must be false, a string or a list of strings');
  if (entries.length === 0) return null;
  const list = new BlockList();
  for (const entry of entries.flatMap((entry) => NAMED[entry] ?? entry)) add(list, entry);
  return list;
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

/**
 * @param {BlockList | null} proxies see trustedProxies
 * @returns {{ address?: string, forwarded: boolean, secure?: boolean, host?: string }} `forwarded` says that a trusted
 *   proxy named the address; `secure` is undefined where nobody can know whether a proxy ended TLS
 */
function origination(proxies, request) {
  const { socket } = request;
  const peer = plainAddress(socket?.remoteAddress);
  const isProxy = (address) => proxies.check(address, family(address));
  if (!proxies || !peer || !isProxy(peer)) {
    const secure = socket?.encrypted ? true : undefined;
    return { address: peer, forwarded: false, secure, host: rawHeader(request, 'host') };
  }
  const { headers } = request;
  let address = peer;
  // From the right: each entry was written by the one that the entry after it names.
  for (const entry of String(headers['x-forwarded-for'] ?? '')
    .split(',')
    .reverse()) {
    const named = plainAddress(withoutPort(entry.trim()));
    if (!named) break;
    address = named;
    if (!isProxy(named)) break;
  }
  const proto = last(headers['x-forwarded-proto'])?.toLowerCase();
  return {
    address,
    forwarded: address !== peer,
    secure: proto === undefined ? (socket.encrypted ? true : undefined) : proto === 'https' || proto === 'wss',
    host: last(headers['x-forwarded-host']) ?? headers.host,
  };
}

module.exports = { trustedProxies, origination, rawHeader };
