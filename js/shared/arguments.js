'use strict';

// Checks of what calls are given: a value is sent as it is, or refused by name. Bundle-safe, as index.js is.

const { invalid } = require('./errors.js');
const { CONTROL, LONE_SURROGATE, MAX_ID_BYTES } = require('./ids.js');

const ENDPOINT = /^\/ws(\/[^\s?#]*)?$/;

/** Objects of which JSON.stringify writes nothing, or something else, by what `Object.prototype.toString` calls them. */
const WITHOUT_JSON = new Set(
  (
    'Map Set WeakMap WeakSet WeakRef Promise RegExp Error Blob File FormData Headers Request Response URLSearchParams ' +
    'ReadableStream ArrayBuffer SharedArrayBuffer Generator AsyncGenerator Arguments'
  )
    .split(' ')
    .map((name) => `[object ${name}]`),
);

const tagOf = (value) => Object.prototype.toString.call(value);

/** A text that UTF-8 can carry. */
function wellFormed(value, name) {
  if (typeof value !== 'string') invalid(`${name} must be a string`);
  if (LONE_SURROGATE.test(value)) invalid(`${name} has half a surrogate pair, which cannot be sent`);
  return value;
}

/** A text that is not empty. */
function text(value, name) {
  if (typeof value !== 'string' || value === '') invalid(`${name} must be a non-empty string`);
  return value;
}

/** An id as long as the hub takes them. */
function anyId(value, name) {
  wellFormed(text(value, name), name);
  // A UTF-16 unit has 1 to 3 bytes.
  const isLong = 3 * value.length > MAX_ID_BYTES && new TextEncoder().encode(value).length > MAX_ID_BYTES;
  if (isLong) invalid(`${name} must have at most ${MAX_ID_BYTES} bytes`);
  return value;
}

/** The id of a document or a client, as one may have connected with it. */
function id(value, name) {
  if (CONTROL.test(anyId(value, name))) invalid(`${name} must have no control characters`);
  return value;
}

/** The path of an endpoint, whether anybody serves it or not. */
function endpointPath(value, name) {
  if (!ENDPOINT.test(wellFormed(value, name))) {
    invalid(`${name} must be the path of an endpoint, such as '/ws/fabric', not ${value}`);
  }
  return value;
}

/** Why JSON.stringify would write something else for a value, or leave it out; `given` is what it was before toJSON. */
function fault(value, given, isInArray) {
  switch (typeof value) {
    case 'undefined':
      // Left out of an object, as everybody knows it; in an array it would become null.
      return isInArray ? 'undefined' : undefined;
    case 'function':
    case 'symbol':
      return `a ${typeof value}`;
    case 'number':
      return Number.isFinite(value) ? undefined : String(value);
    case 'object': {
      // A buffer has a toJSON, and what comes of it is no buffer on the other side.
      if (ArrayBuffer.isView(given)) return 'a typed array or Buffer';
      if (value === null) return tagOf(given) === '[object Date]' ? 'an invalid Date' : undefined;
      const tag = tagOf(value);
      if (tag === '[object Number]') return Number.isFinite(Number(value)) ? undefined : String(value);
      return WITHOUT_JSON.has(tag) ? `a ${tag.slice(8, -1)}` : undefined;
    }
  }
  return undefined;
}

/** The JSON of a value that comes back from it as the same; by the rules of toJSON, and without undefined properties. */
function json(value, name) {
  let written;
  try {
    written = JSON.stringify(value, function (key, each) {
      const what = fault(each, this[key], Array.isArray(this));
      if (what) throw new TypeError(`${what}${key === '' ? '' : ` at ${JSON.stringify(key)}`} cannot be written`);
      return each;
    });
  } catch (error) {
    invalid(`${name} has no JSON: ${typeof error?.message === 'string' ? error.message : 'a toJSON threw'}`);
  }
  if (written === undefined) invalid(`${name} has no JSON`);
  return written;
}

/** The JSON of an array. */
function jsonList(value, name) {
  if (!Array.isArray(value)) invalid(`${name} must be an array`);
  const written = json(value, name);
  if (written[0] !== '[') invalid(`${name} must be an array, not what its toJSON answers`);
  return written;
}

module.exports = { anyId, endpointPath, id, json, jsonList, text, wellFormed };
