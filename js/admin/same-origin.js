'use strict';

// Whether a request comes from the admin page itself. Browsers say so in Sec-Fetch-Site, which no script can write; over
// plain http to another host than localhost they leave it out, and Origin is there, whenever something is posted.

const DEFAULT_PORT = /:(80|443)$/;

/** Why a read is not the page's own; undefined where it may be. */
function foreignRead({ headers }) {
  const site = headers.get('sec-fetch-site');
  if (site !== null && site !== 'same-origin' && site !== 'none') return `Sec-Fetch-Site is ${site}`;
  return undefined;
}

/** Why a write is not the page's own; undefined where it is. */
function foreignWrite({ headers }) {
  const site = headers.get('sec-fetch-site');
  if (site !== null) return site === 'same-origin' ? undefined : `Sec-Fetch-Site is ${site}`;
  const origin = headers.get('origin');
  if (origin === null) return 'there is neither Sec-Fetch-Site nor Origin';
  const host = headers.get('host');
  if (host !== null && hostOf(origin) === host.toLowerCase().replace(DEFAULT_PORT, '')) return undefined;
  return `Origin is ${origin}, and the host that was asked for is ${host}`;
}

function hostOf(origin) {
  try {
    const { protocol, host } = new URL(origin);
    return /^https?:$/.test(protocol) ? host.replace(DEFAULT_PORT, '') : undefined;
  } catch {
    return undefined;
  }
}

/** Why a body is not said to be JSON: forms of other pages can post anything else without asking first. */
function notJson({ headers }) {
  const type = headers.get('content-type') ?? '';
  if (/^application\/json\s*(;|$)/i.test(type)) return undefined;
  return `Content-Type must be application/json, not ${type || 'nothing'}`;
}

module.exports = { foreignRead, foreignWrite, notJson };
