'use strict';

// The option `redis`: how several processes order their documents together. src/binding/cluster.rs is the other side.

const { integer } = require('../shared/checks.js');
const { HubError, invalid } = require('../shared/errors.js');

const MAX_PREFIX_BYTES = 128;

/** Longest time that makes sense for any of these: a client has given up long before. */
const MAX_MS = 600_000;

const CHECKS = {
  url: (value) => (typeof value === 'string' && value !== '' ? value : invalid('option redis.url must be a URL')),
  prefix: (value) => {
    if (typeof value === 'string' && /^[^\0{}]+$/.test(value) && Buffer.byteLength(value) <= MAX_PREFIX_BYTES)
      return value;
    return invalid(`option redis.prefix must be a string of 1 to ${MAX_PREFIX_BYTES} bytes without braces`);
  },
  connectTimeoutMs: (value) => integer(value, 'redis.connectTimeoutMs', { min: 10, max: MAX_MS }),
  commandTimeoutMs: (value) => integer(value, 'redis.commandTimeoutMs', { min: 10, max: MAX_MS }),
  waitMs: (value) => integer(value, 'redis.waitMs', { min: 1, max: MAX_MS }),
};

/** What the option holds, checked; its URL may have a password, so no message has it. */
function redisOptions(value) {
  if (value === false) return undefined;
  const given = typeof value === 'string' ? { url: value } : value;
  if (typeof given !== 'object' || given === null) invalid('option redis must be a URL, an object with one, or false');
  const checked = {};
  for (const [name, each] of Object.entries(given)) {
    if (!Object.hasOwn(CHECKS, name)) {
      invalid(`option redis.${name} is not known; there are ${Object.keys(CHECKS).join(', ')}`);
    }
    if (each !== undefined) checked[name] = CHECKS[name](each);
  }
  if (checked.url === undefined) invalid('option redis needs a url');
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
function checkTogether({ redis, tokenSecret, documents }) {
  if (!redis) return;
  if (tokenSecret === undefined) {
    throw new HubError('HUB_REDIS', 'option redis needs tokenSecret (or HUB_TOKEN_SECRET), the same in all processes');
  }
  if (documents) {
    throw new HubError(
      'HUB_REDIS',
      "option redis orders relays only: documents of kind 'steps' or 'updates' are one process's own, so leave out documents",
    );
  }
}

module.exports = { checkTogether, redisOptions, withEnvironment };
