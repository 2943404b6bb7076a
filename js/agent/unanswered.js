'use strict';

/** After this time without a question, what was not answered before says nothing any more. */
const FORGOTTEN_MS = 60_000;

/** What others have not answered, each with since when and until when it was asked for. */
class Unanswered {
  #known = new Map();

  /** For how many milliseconds a question has had no answer, by those who asked it; 0 where nobody has lately. */
  lasts(question) {
    this.#forgetOld();
    const known = this.#known.get(question);
    return known ? performance.now() - known.since : 0;
  }

  /** It had none just now. */
  note(question) {
    const now = performance.now();
    this.#forgetOld();
    const { since = now } = this.#known.get(question) ?? {};
    this.#known.delete(question);
    this.#known.set(question, { since, last: now });
  }

  forget(question) {
    this.#known.delete(question);
  }

  #forgetOld() {
    // In the order in which they were asked last.
    for (const [question, { last }] of this.#known) {
      if (performance.now() - last < FORGOTTEN_MS) return;
      this.#known.delete(question);
    }
  }
}

module.exports = { Unanswered };
