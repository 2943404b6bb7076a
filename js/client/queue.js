'use strict';

/** Bytes of a text; where there is no TextEncoder, as in jsdom under Jest, no fewer than it has. */
function bytesOf(text) {
  const { TextEncoder } = globalThis;
  return TextEncoder ? new TextEncoder().encode(text).length : 3 * text.length;
}

/** It answers a question of this connection, and its offset means nothing to another. */
const SNAPSHOT = 'snapshot';
/** What is true now, and no history: of these only the newest is worth sending. */
const NEWEST_ONLY = ['awareness', 'selection', 'presence', 'sync', 'session', SNAPSHOT];
/** What may change with every movement of a mouse, and is sent at a pace. */
const PACED = ['awareness', 'selection', 'presence'];

/**
 * What the app has sent and the hub has not acknowledged, in the order it was sent.
 *
 * Every message of it has the next `id`, so that the hub can tell a message it has from one it lacks.
 */
class Queue {
  #maxMessageBytes;
  #maxQueueBytes;
  /** `{ id, bytes, message, text }`, oldest first. */
  #kept = [];
  /** How many of `kept` were sent on this connection. */
  #sent = 0;
  #bytes = 0;
  #lastId = 0;
  #newest = new Map();
  /** By type: when the next may be sent. */
  #dueAt = new Map();
  #showEveryMs;

  constructor({ maxMessageBytes, maxQueueBytes, showEveryMs }) {
    this.#showEveryMs = showEveryMs;
    this.#maxMessageBytes = maxMessageBytes;
    this.#maxQueueBytes = maxQueueBytes;
  }

  get length() {
    return this.#kept.length;
  }

  /** Whether a message is short enough to be sent at all, however large its id may be by then. */
  fits(message) {
    return bytesOf(JSON.stringify({ ...message, id: Number.MAX_SAFE_INTEGER })) <= this.#maxMessageBytes;
  }

  /** Takes a message, unless it is too long or the queue is full. */
  add(message) {
    const isNewestOnly = NEWEST_ONLY.includes(message.type);
    const id = this.#lastId + 1;
    const text = JSON.stringify(isNewestOnly ? message : { ...message, id });
    const bytes = bytesOf(text);
    if (bytes > this.#maxMessageBytes) return false;
    if (isNewestOnly) {
      // Taken out first, so that it goes to the end.
      this.#newest.delete(message.type);
      this.#newest.set(message.type, text);
      return true;
    }
    if (this.#bytes + bytes > this.#maxQueueBytes) return false;
    this.#lastId = id;
    this.#bytes += bytes;
    this.#kept.push({ id, bytes, message, text });
    return true;
  }

  /** The updates and steps that have not been sent on this connection; each is taken for sent. */
  *unsent() {
    while (this.#sent < this.#kept.length) {
      this.#sent += 1;
      yield this.#kept[this.#sent - 1].text;
    }
  }

  /** What is true now, as far as it is due at that time, or all of it where it is the last; each is taken for sent. */
  *shown(at, isLast) {
    for (const [type, text] of this.#newest) {
      if (!isLast && at < this.#due(type)) continue;
      this.#newest.delete(type);
      if (PACED.includes(type)) this.#dueAt.set(type, at + this.#showEveryMs);
      yield text;
    }
  }

  /** When the first is due of what is true now; Infinity where none waits. */
  get nextDueAt() {
    return Math.min(...[...this.#newest.keys()].map((type) => this.#due(type)));
  }

  #due(type) {
    return this.#dueAt.get(type) ?? 0;
  }

  /** Forgets what the hub has. */
  acknowledge(upTo) {
    let count = 0;
    while (count < this.#kept.length && this.#kept[count].id <= upTo) this.#bytes -= this.#kept[count++].bytes;
    this.#kept.splice(0, count);
    this.#sent = Math.max(0, this.#sent - count);
    return count;
  }

  /** Has everything that the hub has not acknowledged sent again, on another connection. */
  rewind() {
    this.#sent = 0;
    this.#newest.delete(SNAPSHOT);
  }

  /** Forgets what was sent on this connection. */
  forgetSent() {
    if (this.#sent > 0) this.acknowledge(this.#kept[this.#sent - 1].id);
  }

  /** Forgets and answers everything; ids go on, since the hub may know the old ones. */
  clear() {
    const messages = this.#kept.map(({ message }) => message);
    this.#kept = [];
    this.#sent = this.#bytes = 0;
    return messages;
  }
}

module.exports = { Queue };
