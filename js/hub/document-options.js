'use strict';

const { resolve } = require('node:path');

const { callback, integer, oneOf } = require('../shared/checks.js');
const { invalid } = require('../shared/errors.js');

const KINDS = ['relay', 'steps', 'updates'];

/** Longest time a timer of Node takes. */
const MAX_TIMER_MS = 0x7fff_ffff;

const DEFAULTS = {
  kind: 'relay',
  store: './.hub/documents.redb',
  storeCacheBytes: 32 * 1024 * 1024,
  saveAfterMs: 2000,
  saveWithinMs: 10_000,
  loadTimeoutMs: 10_000,
  saveTimeoutMs: 30_000,
  idleMs: 60_000,
  maxBatchSteps: 1000,
  maxDocumentBytes: 16 * 1024 * 1024,
};

const time = (name) => (value) => integer(value, `documents.${name}`, { min: 1, max: MAX_TIMER_MS });
const hook = (name) => (value) => callback(value, `documents.${name}`);

function kind(value) {
  return typeof value === 'function' ? value : oneOf(value, 'documents.kind', KINDS);
}

function store(value) {
  if (value === false) return value;
  if (typeof value !== 'string' || value === '') invalid('option documents.store must be the path of a file, or false');
  return resolve(value);
}

const CHECKS = {
  kind,
  store,
  storeCacheBytes: (value) => integer(value, 'documents.storeCacheBytes', { min: 1024 * 1024 }),
  load: hook('load'),
  save: hook('save'),
  apply: hook('apply'),
  merge: hook('merge'),
  conflict: hook('conflict'),
  saveAfterMs: time('saveAfterMs'),
  saveWithinMs: time('saveWithinMs'),
  loadTimeoutMs: time('loadTimeoutMs'),
  saveTimeoutMs: time('saveTimeoutMs'),
  idleMs: time('idleMs'),
  maxBatchSteps: (value) => integer(value, 'documents.maxBatchSteps', { min: 1 }),
  maxDocumentBytes: (value) => integer(value, 'documents.maxDocumentBytes', { min: 1024 }),
};

/** Checks the option `documents`; what is not given has its default. */
function documentOptions(value) {
  if (typeof value !== 'object' || value === null) invalid('option documents must be an object');
  const checked = {};
  const given = Object.entries(value).filter(([, each]) => each !== undefined);
  for (const [name, each] of Object.entries({ ...DEFAULTS, ...Object.fromEntries(given) })) {
    if (!Object.hasOwn(CHECKS, name)) {
      invalid(`option documents.${name} is not known; there are ${Object.keys(CHECKS).join(', ')}`);
    }
    checked[name] = CHECKS[name](each);
  }
  return checked;
}

/** What of it is the native side's. */
function nativeDocuments(options) {
  return {
    store: options.store === false ? undefined : options.store,
    storeCacheBytes: options.storeCacheBytes,
    saves: Boolean(options.save ?? options.apply ?? options.merge),
    hasCopy: Boolean(options.save),
    merges: Boolean(options.apply ?? options.merge),
    saveAfterMs: options.saveAfterMs,
    saveWithinMs: options.saveWithinMs,
    idleMs: options.idleMs,
    maxBatchSteps: options.maxBatchSteps,
    maxDocumentBytes: options.maxDocumentBytes,
  };
}

module.exports = { DEFAULTS, KINDS, documentOptions, nativeDocuments };
