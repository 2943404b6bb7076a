'use strict';

// The session of Auth.js v5 (next-auth 5) with the JWT strategy, read from its cookie.

const { HubError, invalid } = require('../shared/errors.js');
const { Keys, loadJose, openToken } = require('./jwe.js');
const { OpenedTokens } = require('./opened-tokens.js');

/** Those of Auth.js and of its predecessor; first the ones that only HTTPS can set. */
const COOKIE_NAMES = [
  '__Secure-authjs.session-token',
  'authjs.session-token',
  '__Secure-next-auth.session-token',
  'next-auth.session-token',
];

/** What two machines' clocks may differ, in seconds; Auth.js allows as much. */
const CLOCK_TOLERANCE = 15;

/** More chunks than fit into a request's headers. */
const MAX_CHUNKS = 32;

function parseCookies(header = '') {
  const cookies = new Map();
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at).trim();
    // The first one counts, as it does in Auth.js.
    if (at > 0 && !cookies.has(name))
      cookies.set(
        name,
        pair
          .slice(at + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1'),
      );
  }
  return cookies;
}

/** The token under a name: in one cookie, or in chunks `name.0`, `name.1`, … where it is too long for one. */
function* tokens(cookies, name) {
  const whole = cookies.get(name);
  if (whole) yield whole;
  const chunks = [];
  while (chunks.length < MAX_CHUNKS && cookies.has(`${name}.${chunks.length}`))
    chunks.push(cookies.get(`${name}.${chunks.length}`));
  if (chunks.length > 0) yield chunks.join('');
}

/** As @auth/core reads them: the highest number is the newest, and seals; all of them open. */
function secretsOf(env) {
  const unnumbered = env.AUTH_SECRET || env.NEXTAUTH_SECRET;
  return [env.AUTH_SECRET_3, env.AUTH_SECRET_2, env.AUTH_SECRET_1, unnumbered].filter(Boolean);
}

function secretList(secret) {
  // Read when a token comes, not before: Next loads .env only while it prepares. An empty list is none given, as in
  // Auth.js: with no secret at all everybody would be a forger.
  const given = [secret ?? []].flat();
  const secrets = given.length > 0 ? given : secretsOf(process.env);
  if (secrets.length === 0 || !secrets.every((each) => typeof each === 'string' && each !== '')) {
    throw new HubError(
      'HUB_INVALID_ARGUMENT',
      'authJs has no secret: set AUTH_SECRET or NEXTAUTH_SECRET, or pass the option secret, each of whose texts must not be empty',
    );
  }
  return secrets;
}

function standardUser(token) {
  // A claim of that name may be anything: OAuth's tokens end too.
  return { ...token, id: token.sub ?? token.id, expiresAt: undefined };
}

/** Whether a token holds now. One without an end is none of Auth.js. */
function isInTime({ exp, nbf }) {
  const now = Date.now() / 1000;
  if (typeof exp !== 'number' || exp <= now - CLOCK_TOLERANCE) return false;
  return typeof nbf !== 'number' || nbf <= now + CLOCK_TOLERANCE;
}

/**
 * Makes the `session` option for apps with Auth.js. See server.d.ts.
 *
 * The function it answers says for whom the gate asks, and `check` beside it also why there is nobody.
 */
function authJs({ secret, cookieNames = COOKIE_NAMES, user = standardUser, ...unknown } = {}) {
  const [other] = Object.keys(unknown);
  if (other) invalid(`option ${other} of authJs is not known; there are secret, cookieNames, user`);
  if ([secret ?? []].flat().length > 0) secretList(secret);
  const names = [cookieNames].flat();
  if (names.length === 0 || !names.every((name) => typeof name === 'string' && name !== '')) {
    invalid('option cookieNames of authJs must be a name or a list of names');
  }
  if (typeof user !== 'function') invalid('option user of authJs must be a function');
  const keys = new Keys();
  const opened = new OpenedTokens();
  // So that the first upgrade does not wait for it. Where it is not to be had prepare() and every check say so.
  loadJose().catch(() => {});

  /** @returns a promise where there is a token to open: `{ user }`, or `{ reason }`: 'missing', 'expired' or 'forged' */
  function check(request) {
    const cookies = parseCookies(request.headers.cookie);
    const secrets = secretList(secret);
    const found = names.flatMap((name) => [...tokens(cookies, name)].map((token) => ({ name, token })));
    if (found.length === 0) return { reason: 'missing' };
    const [{ name, token }] = found;
    const claims = opened.get(name, token, secrets);
    return claims && isInTime(claims) ? { user: userOf(claims) } : openFirst(found, secrets);
  }

  async function openFirst(found, secrets) {
    let reason;
    for (const { name, token } of found) {
      const claims = await openToken(token, secrets, name, keys);
      if (claims && isInTime(claims)) {
        opened.set(name, token, secrets, claims);
        return { user: userOf(claims) };
      }
      if (!claims) reason = 'forged';
      else reason ??= 'expired';
    }
    return { reason };
  }

  function userOf(claims) {
    const found = user(claims);
    // With the tolerance: what is let in is not to be closed at once.
    const expiresAt = found?.expiresAt ?? (claims.exp + CLOCK_TOLERANCE) * 1000;
    return found && { sessionId: claims.sessionId, ...found, expiresAt };
  }

  const session = async (request) => (await check(request)).user ?? null;
  session.check = check;
  session.prepare = () => {
    secretList(secret);
    return loadJose();
  };
  return session;
}

module.exports = { authJs };
