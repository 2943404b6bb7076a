'use strict';

// How times are spread that are measured on Node's thread. The native side puts them among what it counts itself.

/** Upper bounds of times, in milliseconds: `TIMES` of src/metrics/histogram.rs. */
const BOUNDS_MS = [0.1, 0.25, 1, 2.5, 5, 10, 25, 100, 250, 1000, 2500, 10_000];

/** How times are spread. */
class Times {
  #buckets = new Array(BOUNDS_MS.length + 1).fill(0);
  #sumMs = 0;

  observe(ms) {
    let index = 0;
    while (index < BOUNDS_MS.length && ms > BOUNDS_MS[index]) index += 1;
    this.#buckets[index] += 1;
    this.#sumMs += ms;
  }

  /** As the native side takes it. */
  get given() {
    return { buckets: this.#buckets, sum: this.#sumMs / 1000 };
  }
}

module.exports = { BOUNDS_MS, Times };
