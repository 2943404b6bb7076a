'use strict';

// What an id may be, whoever made it. Bundle-safe, as index.js is.

/** Longest id of a document, client, user or session, in bytes: `MAX_ID_BYTES` of the native side. */
const MAX_ID_BYTES = 512;

/** Half a character: UTF-8 has no bytes for it, so another would be sent in its place. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What logs may not hold. */
const CONTROL = /\p{Cc}/u;

module.exports = { CONTROL, LONE_SURROGATE, MAX_ID_BYTES };
