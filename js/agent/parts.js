'use strict';

/**
 * Puts a long request together, which came in parts because the hub takes no message of its length. A connection sends
 * one at a time, and its parts in order.
 */
class Parts {
  #streamId;
  #texts = [];
  #length = 0;

  /** @returns the whole text, null while more has to come, or undefined where the part does not fit */
  add({ streamId, index, count, text }, longest) {
    if (index === 0) this.#forget(streamId);
    this.#length += text.length;
    if (streamId !== this.#streamId || index !== this.#texts.length || this.#length > longest) {
      this.#forget(undefined);
      return undefined;
    }
    this.#texts.push(text);
    if (this.#texts.length < count) return null;
    const whole = this.#texts.join('');
    this.#forget(undefined);
    return whole;
  }

  #forget(streamId) {
    this.#streamId = streamId;
    this.#texts = [];
    this.#length = 0;
  }
}

module.exports = { Parts };
