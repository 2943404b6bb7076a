'use strict';

const { anyId } = require('../shared/arguments.js');
const { invalid } = require('../shared/errors.js');
const { LONE_SURROGATE, MAX_ID_BYTES } = require('../shared/ids.js');

/** Longest JSON of a user that is kept for deciding about access anew. */
const MAX_PROFILE_BYTES = 64 * 1024;

function idOf(value, name) {
  const id = typeof value === 'number' ? String(value) : value;
  if (typeof id !== 'string' || id === '' || Buffer.byteLength(id) > MAX_ID_BYTES || LONE_SURROGATE.test(id)) {
    throw new TypeError(`session answered a user whose ${name} is no text of 1 to ${MAX_ID_BYTES} bytes`);
  }
  return id;
}

function endOf(expiresAt) {
  if (expiresAt === undefined || expiresAt === null) return undefined;
  const end = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
  if (typeof end !== 'number' || Number.isNaN(end)) {
    throw new TypeError('session answered a user whose expiresAt is neither a Date nor milliseconds');
  }
  return end;
}

/** What a session function answered, in one form. A wrong form is a fault of the app, and nobody is let in by it. */
function identify(user) {
  if (user === null || user === undefined) return { reason: 'missing' };
  if (typeof user !== 'object') throw new TypeError('session must answer a user or null');
  const profile = JSON.stringify(user);
  if (Buffer.byteLength(profile) > MAX_PROFILE_BYTES) {
    throw new TypeError(`session answered a user of more than ${MAX_PROFILE_BYTES} bytes of JSON`);
  }
  return {
    user,
    profile,
    id: idOf(user.id, 'id'),
    sessionId: user.sessionId === undefined || user.sessionId === null ? undefined : idOf(user.sessionId, 'sessionId'),
    expiresAt: endOf(user.expiresAt),
  };
}

/**
 * Who sent a request: `{ user, profile, id, sessionId, expiresAt }`, or `{ reason }` for nobody. A promise only where
 * the app's function gives one.
 */
function readSession(session, request) {
  const read = session.check
    ? ({ user, reason = 'missing' }) => (user ? identify(user) : { reason })
    : (user) => identify(user);
  const found = session.check ? session.check(request) : session(request);
  return typeof found?.then === 'function' ? Promise.resolve(found).then(read) : read(found);
}

/** A request of a route handler (Fetch or Node) as a session function takes it: with `headers` as plain properties. */
function asRequest(request) {
  const { headers } = request;
  if (typeof headers?.get !== 'function') return request;
  return { method: request.method, url: request.url, headers: Object.fromEntries(headers) };
}

/** Whether something is a request, and not `{ userId, … }`. */
function isRequest(value) {
  return typeof value === 'object' && value !== null && typeof value.headers === 'object' && value.headers !== null;
}

/** Longest session there is; no process runs as long. */
const MAX_LEFT_MS = 10 * 365 * 24 * 3_600_000;

/** Milliseconds from now, for the native side. */
function leftMs(expiresAt) {
  return expiresAt === undefined ? undefined : Math.min(Math.max(0, expiresAt - Date.now()), MAX_LEFT_MS);
}

/** What renewSession is about: `{ user, session, leftMs }`. */
async function renewal(session, about) {
  if (!isRequest(about)) {
    const { userId, sessionId, expiresAt } = about ?? {};
    if (userId === undefined && sessionId === undefined) {
      invalid('renewSession needs a request, or an object with userId, sessionId, or both');
    }
    if (userId !== undefined) anyId(userId, 'userId');
    if (sessionId !== undefined) anyId(sessionId, 'sessionId');
    const end = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
    if (!Number.isFinite(end)) invalid('expiresAt must be a Date or milliseconds');
    return { user: userId, session: sessionId, leftMs: leftMs(end) };
  }
  if (!session) invalid('renewSession(request) needs the option session of the hub');
  const found = await readSession(session, asRequest(about));
  if (found.reason || found.expiresAt === undefined) return null;
  return { user: found.id, session: found.sessionId, leftMs: leftMs(found.expiresAt) };
}

module.exports = { readSession, renewal, leftMs };
