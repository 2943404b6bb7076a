/** `on`, `once` and `off`, as what is built for Y.js expects them of a provider. */
export class Emitter {
  #listeners = new Map();

  /** Calls `listener` with every event of that name. Returns what ends it. */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Map();
    this.#listeners.set(event, listeners.set(listener, listener));
    return () => this.off(event, listener);
  }

  once(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Map();
    const first = (...details) => {
      this.off(event, listener);
      return listener(...details);
    };
    this.#listeners.set(event, listeners.set(listener, first));
    return () => this.off(event, listener);
  }

  off(event, listener) {
    this.#listeners.get(event)?.delete(listener);
  }

  /** What a listener throws stops neither the others nor the provider. Answers whether there was one. */
  emit(event, ...details) {
    const listeners = [...(this.#listeners.get(event)?.values() ?? [])];
    for (const listener of listeners) {
      try {
        listener(...details);
      } catch (error) {
        console.error('A listener of the Y.js provider failed', error);
      }
    }
    return listeners.length > 0;
  }

  clear() {
    this.#listeners.clear();
  }
}
