'use strict';

const { CONTROL, MAX_ID_BYTES } = require('../shared/ids.js');

/** Of ids that clients choose, in UTF-16 units, of which each has at least a byte. */
const LONGEST_ID = MAX_ID_BYTES;

const MESSAGES = {
  BAD_JSON: 'Invalid message format',
  BAD_SHAPE: 'The message has not the fields of its type',
  UNKNOWN_TYPE: 'There are messages of type stream, part, abort, recover and ping',
  WRONG_THREAD: 'This connection belongs to another thread',
  UNKNOWN_STREAM: 'The thread has no such stream, or has it no more',
  UNRECOVERABLE: 'The chunks after this seq are no longer kept',
  REQUEST_TOO_LARGE: 'The request is too long, or its parts are not in order',
  TOO_MANY_STREAMS: 'Too many streams are running',
  STREAM_FAILED: 'The stream failed',
  STREAM_TIMEOUT: 'The stream took too long',
  CHUNK_TOO_LARGE: 'A chunk of the stream is too large to send',
};

function isId(value) {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST_ID && !CONTROL.test(value);
}

/** A reason to refuse a client's message, with what of it the client may need to know which one it was. */
function refusal(code, fields) {
  return JSON.stringify({ type: 'error', ...fields, code, message: MESSAGES[code] });
}

const SHAPES = {
  ping: () => true,
  part: ({ streamId, index, count, text }) =>
    isId(streamId) &&
    [index, count].every(Number.isSafeInteger) &&
    index >= 0 &&
    index < count &&
    typeof text === 'string',
  stream: ({ streamId }) => streamId === undefined || isId(streamId),
  abort: ({ streamId }) => isId(streamId),
  recover: ({ streamId, seq }) => isId(streamId) && Number.isSafeInteger(seq) && seq >= 0,
};

/**
 * Reads a message of a client.
 *
 * @param {string | Buffer} payload
 * @returns the message, or `{ code, streamId }` with the reason to refuse it
 */
function parse(payload, threadId) {
  let message;
  try {
    message = JSON.parse(payload.toString());
  } catch {
    return { code: 'BAD_JSON' };
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return { code: 'BAD_JSON' };
  const { type } = message;
  const streamId = isId(message.streamId) ? message.streamId : undefined;
  if (!Object.hasOwn(SHAPES, String(type))) return { code: 'UNKNOWN_TYPE', streamId };
  if (message.threadId !== undefined && message.threadId !== threadId) return { code: 'WRONG_THREAD', streamId };
  if (!SHAPES[type](message)) return { code: 'BAD_SHAPE', streamId };
  if (type === 'part') return { type, streamId, index: message.index, count: message.count, text: message.text };
  return { type, streamId, seq: message.seq, data: message.data };
}

module.exports = { isId, parse, refusal };
