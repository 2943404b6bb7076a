'use strict';

// The document as it is now, made out of a snapshot and the steps behind it by the app's own `apply`.

const { setImmediate } = require('node:timers/promises');

const { describe } = require('../shared/callbacks.js');

/** Steps that are applied in one turn of Node's loop, or one batch if that has more. */
const SLICE_STEPS = 100;

/** Steps that the app cannot apply: those behind `good` are none for the document there. */
class BadSteps extends Error {
  /**
   * @param {{ version: number, doc: unknown }} good the last version at which they fit
   * @param {unknown} cause what `apply` threw
   */
  constructor(good, cause) {
    super(`steps for version ${good.version} do not fit: ${describe(cause)}`, { cause });
    this.good = good;
  }
}

function flat(batches) {
  return batches.flatMap(({ steps }) => steps);
}

async function applied(apply, doc, steps) {
  const result = await apply(doc, steps);
  if (result === undefined) throw new TypeError('apply, or merge, has returned nothing');
  return result;
}

/** Applies batches one by one, until one of them does not fit. */
async function oneByOne(apply, good, batches) {
  let { doc, version } = good;
  for (const { steps } of batches) {
    try {
      doc = await applied(apply, doc, steps);
    } catch (error) {
      throw new BadSteps({ version, doc }, error);
    }
    version += steps.length;
  }
  return doc;
}

/**
 * Applies the steps of `content` in slices, between which Node does other things.
 *
 * @param {(doc: unknown, steps: unknown[]) => unknown} apply
 * @param {{ doc: unknown, docVersion: number, steps: { version: number, steps: unknown[] }[] }} content
 * @throws {BadSteps}
 */
async function applyAll(apply, { doc, docVersion, steps: batches }) {
  let [version, rest] = [docVersion, batches];
  while (rest.length > 0) {
    let count = 0;
    const end = rest.findIndex(({ steps }) => (count += steps.length) > SLICE_STEPS);
    const slice = end < 0 ? rest : rest.slice(0, Math.max(1, end));
    const steps = flat(slice);
    try {
      doc = await applied(apply, doc, steps);
    } catch {
      doc = await oneByOne(apply, { version, doc }, slice);
    }
    version += steps.length;
    rest = rest.slice(slice.length);
    if (rest.length > 0) await setImmediate();
  }
  return doc;
}

/**
 * Merges the updates of `content` into its state, in slices. One that the app cannot merge is left out: those who have the
 * document open have it, or have refused it, too.
 *
 * @param {(state: unknown, updates: unknown[]) => unknown} merge
 * @param {(message: string) => void} warn
 */
async function mergeUpdates(merge, { doc: state, steps: entries }, warn) {
  for (let at = 0; at < entries.length; at += SLICE_STEPS) {
    const slice = entries.slice(at, at + SLICE_STEPS);
    try {
      state = await applied(
        merge,
        state,
        slice.map(({ steps }) => steps),
      );
    } catch {
      for (const { version, steps: update } of slice) {
        try {
          state = await applied(merge, state, [update]);
        } catch (error) {
          warn(`the update ${version + 1} cannot be merged and is left out: ${describe(error)}`);
        }
      }
    }
    if (at + SLICE_STEPS < entries.length) await setImmediate();
  }
  return state;
}

module.exports = { applyAll, BadSteps, flat, mergeUpdates };
