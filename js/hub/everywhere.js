'use strict';

// Calls that every process has to do, where several share a Redis. src/cluster/calls.rs is the other side.

const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');

class Everywhere {
  #native;
  #acts;
  #logs;

  /**
   * @param native the native hub
   * @param {Record<string, (...of) => unknown>} acts what this process does of them
   * @param {{ isAlone: boolean, logs: boolean }} about whether there are no other processes, and whether anything is logged
   */
  constructor(native, acts, { isAlone, logs }) {
    this.#native = isAlone ? undefined : native;
    this.#acts = acts;
    this.#logs = logs;
  }

  /** Has the other processes do an act, and does it here; returns what that returns. */
  do(name, ...of) {
    this.#native?.say(JSON.stringify([name, ...of]));
    return this.#acts[name](...of);
  }

  /** Does what other processes have said. */
  dispatch() {
    for (const call of this.#native?.takeCalls() ?? []) {
      this.#here(call).catch((error) => {
        if (this.#logs) log('error', `what another process wants done: ${describe(error)}`);
      });
    }
  }

  async #here(call) {
    const [name, ...of] = JSON.parse(call);
    // A process of a later version may say more.
    if (Object.hasOwn(this.#acts, name)) await this.#acts[name](...of);
  }
}

module.exports = { Everywhere };
