'use strict';

/** A roll-up of this many characters does not wait for its window: it costs a frame of its own by now. */
const LONGEST_CHARACTERS = 16 * 1024;

/** What a chunk adds text to: 'text' for a plain string, a key for an AI SDK delta, undefined for everything else. */
function targetOf(chunk) {
  if (typeof chunk === 'string') return 'text';
  if (typeof chunk !== 'object' || chunk === null) return undefined;
  const { type, id, delta } = chunk;
  if (type !== 'text-delta' && type !== 'reasoning-delta') return undefined;
  // A delta that carries more, such as providerMetadata, would lose it in a roll-up.
  if (typeof id !== 'string' || typeof delta !== 'string' || Object.keys(chunk).length !== 3) return undefined;
  return `${type}:${id}`;
}

/**
 * Merges small pieces of one text: the first leaves at once, those of the next `windowMs` leave together. Everything
 * else passes through, behind the text before it.
 */
class RollUp {
  #windowMs;
  #maxCharacters;
  #emit;
  #timer;
  #target;
  #like;
  #text = '';

  /**
   * @param {number} windowMs 0 passes every chunk through
   * @param {number} maxCharacters what is merged is no longer; a single piece may be
   * @param {(chunk: unknown) => void} emit takes the chunks in their order
   */
  constructor(windowMs, maxCharacters, emit) {
    this.#windowMs = windowMs;
    this.#maxCharacters = Math.min(maxCharacters, LONGEST_CHARACTERS);
    this.#emit = emit;
  }

  push(chunk) {
    const target = this.#windowMs > 0 ? targetOf(chunk) : undefined;
    if (target === undefined) {
      this.flush();
      this.#emit(chunk);
      return;
    }
    if (this.#timer === undefined) {
      this.#open();
      this.#emit(chunk);
      return;
    }
    const text = typeof chunk === 'string' ? chunk : chunk.delta;
    // One that is too long together with what waits may be sent by itself.
    if (target !== this.#target || this.#text.length + text.length > this.#maxCharacters) {
      this.flush();
      this.#target = target;
      this.#like = chunk;
    }
    this.#text += text;
    if (this.#text.length >= this.#maxCharacters) this.flush();
  }

  /** Emits what waits. The window stays open: what comes next in it is still rolled up. */
  flush() {
    if (this.#target === undefined) return;
    const chunk = typeof this.#like === 'string' ? this.#text : { ...this.#like, delta: this.#text };
    this.#target = undefined;
    this.#like = undefined;
    this.#text = '';
    this.#emit(chunk);
  }

  /** Ends the window; what waits and was not flushed is dropped. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#target = undefined;
    this.#like = undefined;
    this.#text = '';
  }

  #open() {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#target === undefined) return;
      this.#open();
      this.flush();
    }, this.#windowMs);
  }
}

module.exports = { RollUp };
