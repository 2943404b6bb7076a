'use strict';

/**
 * Reads what onRequest returned, an AsyncIterable or a ReadableStream, one value after the other.
 *
 * @returns {AsyncIterator<unknown>}
 * @throws TypeError for anything else
 */
function sourceOf(value) {
  if (typeof value?.[Symbol.asyncIterator] === 'function') return value[Symbol.asyncIterator]();
  if (typeof value?.getReader === 'function') return readerOf(value.getReader());
  const kind = value === null ? 'null' : typeof value;
  throw new TypeError(`onRequest must return an AsyncIterable or a ReadableStream, not ${kind}`);
}

/** A ReadableStream without an iterator of its own, such as a polyfill's. */
function readerOf(reader) {
  return {
    next: () => reader.read(),
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

module.exports = { sourceOf };
