'use strict';

const { invalid } = require('../shared/errors.js');

const MIB = 1024 * 1024;
const MAX = 0xffff_ffff;

/** What the native side keeps to, under the names of its `NativeLimits`. */
const DEFAULTS = {
  messagesPerSecond: 200,
  messageBurst: 2000,
  bytesPerSecond: 4 * MIB,
  byteBurst: 64 * MIB,
  userMessagesPerSecond: 800,
  userMessageBurst: 8000,
  userBytesPerSecond: 16 * MIB,
  userByteBurst: 256 * MIB,
  userStepsPerSecond: 1000,
  userStepBurst: 20_000,
  patienceMs: 10_000,
  connections: 50_000,
  connectionsPerUser: 100,
  connectionsPerDocument: 1000,
  connectionsPerAddress: 500,
  documentsPerUser: 100,
};

/** Upgrades whose session or access is being decided. */
const WAITING = 1000;

function limit(value, name) {
  // A rate without a burst would hold back every client.
  const optional = !/Burst$|Ms$/.test(name);
  if (value === false && optional) return 0;
  if (!Number.isSafeInteger(value) || value < 1 || value > MAX) {
    invalid(
      `option limits.${name} must be ${optional ? 'false or ' : ''}a whole number from 1 to ${MAX}, not ${String(value)}`,
    );
  }
  return value;
}

/** Checks the option limits: false, or what differs from the defaults. Answers `{ waiting, native }`. */
function limitOptions(value = {}, env = process.env) {
  const off = { waiting: 0, native: undefined };
  if (value === false) return off;
  if (typeof value !== 'object' || value === null) invalid('option limits must be false or an object');
  const all = { ...DEFAULTS, waiting: WAITING };
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(all, name)) {
      invalid(`option limits.${name} is not known; there are ${Object.keys(all).join(', ')}`);
    }
    if (given !== undefined) all[name] = limit(given, name);
  }
  if (env.HUB_LIMITS === 'off') return off;
  const { waiting, ...native } = all;
  return { waiting, native };
}

module.exports = { limitOptions, DEFAULTS };
