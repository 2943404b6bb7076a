'use strict';

/** One stream on its way to whoever asked for it. */
class Reading {
  seq = 0;
  askedAt = performance.now();
  #controller;
  #isText = false;

  /** @param {string} [request] the message that asks for it, for as long as the server may not have got it */
  constructor(streamId, request, onCancel) {
    this.streamId = streamId;
    this.request = request;
    const start = (controller) => (this.#controller = controller);
    this.stream = new ReadableStream({ start, cancel: () => onCancel(this) });
  }

  push(seq, chunk) {
    if (seq <= this.seq) return;
    this.seq = seq;
    if (typeof chunk !== 'string') {
      this.#controller.enqueue(chunk);
      return;
    }
    // A server without the AI SDK sends plain text.
    if (!this.#isText) this.#controller.enqueue({ type: 'text-start', id: 'text' });
    this.#isText = true;
    this.#controller.enqueue({ type: 'text-delta', id: 'text', delta: chunk });
  }

  end(isAborted) {
    if (this.#isText) this.#controller.enqueue({ type: 'text-end', id: 'text' });
    if (isAborted) this.#controller.enqueue({ type: 'abort' });
    this.#controller.close();
  }

  fail(error) {
    this.#controller.error(error);
  }
}

module.exports = { Reading };
