'use strict';

const { resolve } = require('node:path');

const { callback, flag, integer, oneOf } = require('../shared/checks.js');
const { invalid } = require('../shared/errors.js');
const { trustedProxies } = require('../admission/forwarded.js');
const { documentOptions } = require('./document-options.js');
const { limitOptions } = require('./limits.js');
const { originRule } = require('../admission/origin.js');
const { checkTogether, redisOptions, withEnvironment } = require('./redis-options.js');

/** Longest time a timer of Node takes. */
const MAX_TIMER_MS = 0x7fff_ffff;

const LOG_LEVELS = ['off', 'error', 'warn', 'info', 'debug'];
const LOG_FORMATS = ['text', 'json'];

function secret(value, name) {
  // The value itself is never in a message.
  if (typeof value !== 'string' || Buffer.byteLength(value) < 32) {
    invalid(`option ${name} must be a string of at least 32 bytes`);
  }
  return value;
}

/** The path of a folder; `undefined` for none. */
function folder(value, name) {
  if (value === false) return undefined;
  if (typeof value !== 'string' || value === '') invalid(`option ${name} must be the path of a folder, or false`);
  return resolve(value);
}

/** `HUB_STATE_DIR`, false where it is `off`, undefined where it is not set. */
function stateDirFromEnvironment(env = process.env) {
  const path = env.HUB_STATE_DIR?.trim() || undefined;
  return path === 'off' ? false : path;
}

const DEFAULTS = {
  handOver: true,
  heartbeatIntervalMs: 30_000,
  logLevel: 'warn',
  logFormat: 'text',
  registrationTimeoutMs: 10_000,
  allowedOrigins: 'same',
  trustProxy: false,
  limits: {},
  admissionTimeoutMs: 10_000,
  sessionWarningMs: 60_000,
  stateDir: false,
  drainMs: 2000,
};

const CHECKS = {
  threads: (value) => integer(value, 'threads', { min: 1, max: 64 }),
  maxMessageBytes: (value) => integer(value, 'maxMessageBytes', { min: 1024, max: 64 * 1024 * 1024 }),
  maxOutboxBytes: (value) => integer(value, 'maxOutboxBytes', { min: 64 * 1024 }),
  maxInboxBytes: (value) => integer(value, 'maxInboxBytes', { min: 4 * 1024 }),
  heartbeatIntervalMs: (value) => (value === 0 ? 0 : integer(value, 'heartbeatIntervalMs', { min: 10 })),
  maxDepth: (value) => integer(value, 'maxDepth', { min: 8 }),
  recoveryWindowMs: (value) => (value === 0 ? 0 : integer(value, 'recoveryWindowMs', { min: 50, max: 86_400_000 })),
  historyMaxMessages: (value) => integer(value, 'historyMaxMessages'),
  historyMaxBytes: (value) => integer(value, 'historyMaxBytes'),
  historyTotalBytes: (value) => integer(value, 'historyTotalBytes'),
  tokenSecret: (value) => secret(value, 'tokenSecret'),
  stateDir: (value) => folder(value, 'stateDir'),
  drainMs: (value) => integer(value, 'drainMs', { max: 60_000 }),
  registrationTimeoutMs: (value) => integer(value, 'registrationTimeoutMs', { max: MAX_TIMER_MS }),
  handOver: (value) => flag(value, 'handOver'),
  logLevel: (value) => oneOf(value, 'logLevel', LOG_LEVELS),
  logFormat: (value) => oneOf(value, 'logFormat', LOG_FORMATS),
  session: (value) => callback(value, 'session'),
  sessionWarningMs: (value) => integer(value, 'sessionWarningMs'),
  access: (value) => callback(value, 'access'),
  admissionTimeoutMs: (value) => integer(value, 'admissionTimeoutMs', { min: 1, max: 600_000 }),
  allowedOrigins: originRule,
  trustProxy: trustedProxies,
  limits: (value) => limitOptions(value),
  documents: documentOptions,
  redis: (value) => redisOptions(value),
  onSecurityEvent: (value) => callback(value, 'onSecurityEvent'),
};

/** Checks the options of createHub; what is neither given nor in DEFAULTS is left to the native side's. */
function hubOptions(options = {}, env = process.env) {
  if (typeof options !== 'object' || options === null) invalid('options must be an object');
  const checked = {};
  const given = Object.entries(withEnvironment(options, env)).filter(([, value]) => value !== undefined);
  const stateDir = stateDirFromEnvironment(env) ?? DEFAULTS.stateDir;
  for (const [name, value] of Object.entries({ ...DEFAULTS, stateDir, ...Object.fromEntries(given) })) {
    if (!Object.hasOwn(CHECKS, name)) {
      invalid(`option ${name} is not known; there are ${Object.keys(CHECKS).join(', ')}`);
    }
    checked[name] = CHECKS[name](value);
  }
  checkTogether(checked);
  // Redis remembers for the next process, and for all others that run meanwhile.
  if (checked.redis) checked.stateDir = undefined;
  return checked;
}

module.exports = { DEFAULTS, hubOptions, stateDirFromEnvironment };
