'use strict';

// What handlers of several processes say to each other, where these share a Redis. src/binding/channels.rs is the other side.

const keyOf = (path, room) => `${path} ${room}`;

/**
 * Rooms that no connection is in, over which a handler speaks with itself in other processes: at most once, and what one process
 * says in the order of its calls. Nothing of it throws: a hub that is closed is as one whose Redis is away.
 */
class Channels {
  #native;
  /** By path and room. */
  #listeners = new Map();

  constructor(native) {
    this.#native = native;
  }

  /** This process, as others hear of it. */
  get process() {
    return this.#native.ownProcess();
  }

  /**
   * Hears what other processes say in a room, whose name begins with U+0000.
   *
   * @param {object} listener
   * @param {(from: string, text: string) => void} listener.hear given the process that said it
   * @param {() => void} listener.missed something may have been said that was not heard, as while this process was cut off
   * @param {() => Promise<void>} listener.leave the hub ends: the last moment to say something
   * @returns {Promise<boolean>} once it is heard; `false` where Redis is away, and it will be when that is back
   */
  listen(path, room, listener) {
    this.#listeners.set(keyOf(path, room), listener);
    return this.#answer(() => this.#native.listen(path, room)).then((isHeard) => isHeard === true);
  }

  unlisten(path, room) {
    if (this.#listeners.delete(keyOf(path, room))) this.#answer(() => this.#native.unlisten(path, room));
  }

  /** Resolves with how many processes hear it, this one among them where it listens; undefined where nobody knows. */
  async tell(path, room, text) {
    const count = await this.#answer(() => this.#native.tell(path, room, text));
    return count >= 0 ? count : undefined;
  }

  /** Whether another process was heard of lately: after 7 seconds of silence it is gone. */
  isThere(process) {
    try {
      return this.#native.isThere(process);
    } catch {
      return false;
    }
  }

  /**
   * Claims `name` of a room for this process, also where the process `gone` has it.
   *
   * @param {number} keptMs how long nobody else may have it, unless it is released
   * @returns {Promise<string | undefined>} who has it then; undefined where nobody knows
   */
  async claim(path, room, name, keptMs, gone) {
    return (await this.#answer(() => this.#native.claim([path, room, name], keptMs, gone))) ?? undefined;
  }

  /** Resolves once this process has let go of what it has claimed. */
  async release(path, room, name) {
    await this.#answer(() => this.#native.release(path, room, name));
  }

  /** Another process has said something, or may have where it is not said which. */
  heard([path, room, from, text]) {
    const listener = this.#listeners.get(keyOf(path, room));
    if (typeof from === 'string') listener?.hear(from, text);
    else listener?.missed();
  }

  /** The hub ends: those who listen here say so to those elsewhere, for so long at most. */
  async leave(timeoutMs) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    const all = [...this.#listeners.values()].map((listener) => listener.leave());
    await Promise.race([Promise.all(all), late]);
    clearTimeout(timer);
  }

  async #answer(call) {
    try {
      return await call();
    } catch {
      return undefined;
    }
  }
}

module.exports = { Channels };
