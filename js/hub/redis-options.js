'use strict';

// The option `redis`: how several processes order their documents together. src/binding/cluster.rs is the other side.

const { integer } = require('../shared/checks.js');
const { HubError, invalid } = require('../shared/errors.js');

const MAX_PREFIX_BYTES = 128;

/** Longest time that makes sense for any of these: a client has given up long before. */
const MAX_MS = 600_000;

/** More than anybody configures; 16 is usual. */
const MAX_DATABASE = 1_000_000;

/** How the Redis is found; one of these is given. */
const WAYS = ['url', 'sentinels', 'cluster'];

const text = (name) => (value) => {
  if (typeof value === 'string' && value !== '') return value;
  return invalid(`option redis.${name} must be a string that is not empty`);
};

/** A list of `host` or `host:port`; what is wrong with one is said by the native side. */
const servers = (name) => (value) => {
  const isList = Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string');
  return isList ? [...value] : invalid(`option redis.${name} must be a list of servers, each as 'host:port'`);
};

const TLS_CHECKS = Object.fromEntries(['ca', 'cert', 'key', 'servername'].map((name) => [name, text(`tls.${name}`)]));

/** `true` is TLS with what the system trusts. */
function tls(value) {
  if (value === true) return {};
  if (typeof value !== 'object' || value === null) invalid('option redis.tls must be true, or an object');
  const checked = checkEach(value, TLS_CHECKS, 'redis.tls');
  if ((checked.cert === undefined) !== (checked.key === undefined)) {
    invalid('option redis.tls needs cert and key together');
  }
  return checked;
}

const CHECKS = {
  url: (value) => (typeof value === 'string' && value !== '' ? value : invalid('option redis.url must be a URL')),
  sentinels: servers('sentinels'),
  name: text('name'),
  cluster: servers('cluster'),
  sentinelUsername: text('sentinelUsername'),
  sentinelPassword: text('sentinelPassword'),
  username: text('username'),
  password: text('password'),
  database: (value) => integer(value, 'redis.database', { min: 0, max: MAX_DATABASE }),
  tls: (value) => (value === false ? undefined : tls(value)),
  prefix: (value) => {
    if (typeof value === 'string' && /^[^\0{}]+$/.test(value) && Buffer.byteLength(value) <= MAX_PREFIX_BYTES)
      return value;
    return invalid(`option redis.prefix must be a string of 1 to ${MAX_PREFIX_BYTES} bytes without braces`);
  },
  connectTimeoutMs: (value) => integer(value, 'redis.connectTimeoutMs', { min: 10, max: MAX_MS }),
  commandTimeoutMs: (value) => integer(value, 'redis.commandTimeoutMs', { min: 10, max: MAX_MS }),
  waitMs: (value) => integer(value, 'redis.waitMs', { min: 1, max: MAX_MS }),
};

/** What an object holds, each checked by its name. */
function checkEach(given, checks, option) {
  const checked = {};
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(checks, name)) {
      invalid(`option ${option}.${name} is not known; there are ${Object.keys(checks).join(', ')}`);
    }
    if (value !== undefined) checked[name] = checks[name](value);
  }
  return checked;
}

/** What the option holds, checked; its URL may have a password, so no message has it. */
function redisOptions(value) {
  if (value === false) return undefined;
  const given = typeof value === 'string' ? { url: value } : value;
  if (typeof given !== 'object' || given === null) invalid('option redis must be a URL, an object with one, or false');
  const checked = checkEach(given, CHECKS, 'redis');
  const ways = WAYS.filter((way) => checked[way] !== undefined);
  if (ways.length !== 1) invalid(`option redis needs one of ${WAYS.join(', ')}`);
  if ((checked.sentinels === undefined) !== (checked.name === undefined)) {
    invalid('option redis needs sentinels and name, what they call the primary, together');
  }
  if (given.tls === false && /^(redis|valkey)s[:+-]/.test(checked.url)) {
    throw new HubError(
      'HUB_REDIS',
      'option redis.tls: false, but its url says TLS: write redis in the place of rediss',
    );
  }
  return checked;
}

/** What the environment says where the options do not. */
function withEnvironment(options, env = process.env) {
  const { redis = env.HUB_REDIS_URL || undefined, tokenSecret: given } = options;
  // Without a Redis no other process knows a token, whatever it was signed with.
  const tokenSecret = given === undefined && redis ? env.HUB_TOKEN_SECRET || undefined : given;
  return { ...options, redis, tokenSecret };
}

/** Refuses what does not go together with a Redis. */
function checkTogether({ redis, tokenSecret }) {
  if (!redis) return;
  if (tokenSecret === undefined) {
    throw new HubError('HUB_REDIS', 'option redis needs tokenSecret (or HUB_TOKEN_SECRET), the same in all processes');
  }
}

module.exports = { checkTogether, redisOptions, withEnvironment };
