'use strict';

const { invalid } = require('../shared/errors.js');

/** What a client sends: the type, and the fields that `send` fills in their order. */
const FIELDS = {
  sync: ['stateVector', 'offset'],
  snapshot: ['offset', 'state'],
  session: [],
  update: ['update'],
  awareness: ['awareness'],
  selection: ['selection'],
  steps: ['steps', 'version'],
  presence: [],
};

/** What is sent now or not at all: an editor of a document with an authority knows itself what to send again. */
const SUBMITTED = ['sync', 'steps', 'pullUpdates', 'snapshot'];

const NUMBERS = {
  firstWaitMs: 1000,
  longestWaitMs: 30_000,
  answerTimeoutMs: 10_000,
  silenceMs: 20_000,
  showEveryMs: 33,
  maxMessageBytes: 1024 * 1024,
  maxQueueBytes: 4 * 1024 * 1024,
};

const LARGEST = 0x7fff_ffff;

/** Checks the options of a client. */
function clientOptions(options) {
  const { location, WebSocket } = globalThis;
  const checked = { documentId: '', clientID: '', url: '/ws/fabric', WebSocket, random: Math.random, ...NUMBERS };
  for (const [name, value] of Object.entries(options)) {
    if (!(name in checked)) invalid(`option ${name} is not known`);
    if (value !== undefined) checked[name] = value;
  }
  for (const name in NUMBERS) {
    const value = checked[name];
    if (typeof value !== 'number' || !(value >= 1 && value <= LARGEST))
      invalid(`option ${name} must be a number from 1 to ${LARGEST}`);
  }
  for (const name of ['documentId', 'clientID']) {
    if (typeof checked[name] !== 'string' || !checked[name]) invalid(`option ${name} must be a non-empty string`);
  }
  for (const name of ['WebSocket', 'random']) {
    if (typeof checked[name] !== 'function') invalid(`option ${name} must be a function; there is no global one`);
  }
  let url;
  try {
    url = new URL(checked.url, location?.href);
  } catch {
    invalid('option url must be an absolute URL where there is no page');
  }
  url.protocol = url.protocol.replace('http', 'ws');
  url.searchParams.set('documentId', checked.documentId);
  url.searchParams.set('clientID', checked.clientID);
  return { ...checked, url };
}

module.exports = { clientOptions, FIELDS, SUBMITTED };
