'use strict';

// Calls of the app's functions, whatever those throw. Bundle-safe, as index.js is.

/** Words for what was thrown. Nothing stops a value from having none, or from throwing when it is asked for them. */
function describe(thrown) {
  try {
    return String(thrown?.stack ?? thrown);
  } catch {
    return 'something that has no text';
  }
}

function asError(thrown) {
  if (thrown instanceof Error) return thrown;
  return new Error(`a handler threw ${describe(thrown)}`, { cause: thrown });
}

/**
 * Calls `callback` and, once what it answers has settled, `succeeded` or `failed`, in the same turn where it answers no
 * promise. Nothing else hears of what it throws or rejects with.
 *
 * @param {() => unknown} callback
 * @param {(thrown: unknown) => void} failed
 * @param {() => void} [succeeded]
 */
function attempt(callback, failed, succeeded) {
  try {
    const result = callback();
    if (typeof result?.then === 'function') {
      // Settles once, also where a promise of another make does not, or throws.
      Promise.resolve(result).then(succeeded, failed);
      return;
    }
  } catch (thrown) {
    failed(thrown);
    return;
  }
  succeeded?.();
}

module.exports = { asError, attempt, describe };
