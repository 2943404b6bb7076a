'use strict';

const { integer } = require('../shared/checks.js');
const { invalid } = require('../shared/errors.js');
const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');

/** Longest delay a timer takes; a longer one would fire at once. */
const LONGEST_MS = 0x7fff_ffff;
const DEFAULT_PATH = '/ws/agent';

const NUMBERS = {
  rollUpMs: { default: 25, max: 1000 },
  stopMs: { default: 5000, max: LONGEST_MS },
  keepMs: { default: 120_000, max: LONGEST_MS },
  slowWatcherMs: { default: 5000, max: LONGEST_MS },
  maxStreamMs: { default: 3_600_000, min: 1, max: LONGEST_MS },
  maxStreams: { default: 1000, min: 1 },
  maxStreamsPerThread: { default: 8, min: 1 },
  maxKeptStreamsPerThread: { default: 16 },
  maxKeptBytes: { default: 64 * 1024 * 1024 },
  maxHistoryBytes: { default: 1024 * 1024 },
  maxHistoryChunks: { default: 10_000 },
  maxRequestBytes: { default: 16 * 1024 * 1024, min: 1024 },
  maxChunkBytes: { default: 1024 * 1024, min: 1024 },
  maxBufferedBytes: { default: 256 * 1024, min: 1024 },
};

function callable(value, name) {
  if (typeof value !== 'function') invalid(`option ${name} must be a function`);
  return value;
}

const CHECKS = {
  path: (value) => {
    if (typeof value !== 'string' || !/^\/ws\/[^?#\s]+$/.test(value)) {
      invalid(`option path must be a path below /ws/, not ${String(value)}`);
    }
    return value;
  },
  onRequest: (value) => callable(value, 'onRequest'),
  authorize: (value) => callable(value, 'authorize'),
  onError: (value) => callable(value, 'onError'),
  graceMs: (value) => (value === false ? false : integer(value, 'graceMs', { max: LONGEST_MS })),
};
for (const [name, { min = 0, max }] of Object.entries(NUMBERS)) {
  CHECKS[name] = (value) => integer(value, name, { min, max });
}

function logError(error, { threadId, streamId }) {
  const where = streamId ? `stream ${JSON.stringify(streamId)} of ` : '';
  log('error', `agent: ${where}thread ${JSON.stringify(threadId)}: ${describe(error)}`);
}

/** Checks the options of createAgentHandler and fills in the defaults. */
function agentOptions(options) {
  if (typeof options !== 'object' || options === null) invalid('options must be an object with onRequest');
  const checked = { path: DEFAULT_PATH, graceMs: 30_000, authorize: undefined, onError: logError };
  for (const [name, { default: value }] of Object.entries(NUMBERS)) checked[name] = value;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(CHECKS, name)) {
      invalid(`option ${name} is not known; there are ${Object.keys(CHECKS).join(', ')}`);
    }
    checked[name] = CHECKS[name](value);
  }
  if (!checked.onRequest) invalid('option onRequest must be a function');
  return checked;
}

module.exports = { agentOptions };
