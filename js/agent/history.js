'use strict';

/** Dropped frames leave the array in blocks: taking each out by itself would move all the others every time. */
const COMPACT_AT = 256;

/** The newest frames of one stream by their `seq`, bounded in bytes and in number. The newest one always stays. */
class History {
  #maxBytes;
  #maxChunks;
  /** From index `#start` on; those before it are dropped, and undefined. */
  #frames = [];
  #sizes = [];
  #start = 0;

  /** Bytes of all frames that are kept, in UTF-8. */
  bytes = 0;
  /** The `seq` of the last frame; 0 before there is one. */
  seq = 0;

  constructor(maxBytes, maxChunks) {
    this.#maxBytes = maxBytes;
    this.#maxChunks = maxChunks;
  }

  /** The `seq` of the oldest frame that is kept; one more than `seq` where there is none. */
  get first() {
    return this.seq - (this.#frames.length - this.#start) + 1;
  }

  /** Takes the frame with the next `seq`. */
  push(frame, bytes) {
    this.#frames.push(frame);
    this.#sizes.push(bytes);
    this.bytes += bytes;
    this.seq += 1;
  }

  /** Drops the oldest frames until the rest is within the bounds, but none from `neededSeq` on. */
  trim(neededSeq) {
    while (this.first < this.seq && this.first < neededSeq && this.#isOver()) this.#drop();
  }

  /** The frame with that `seq`; undefined where it was dropped or is still to come. */
  frame(seq) {
    return this.#frames[this.#start + seq - this.first];
  }

  #isOver() {
    return this.bytes > this.#maxBytes || this.#frames.length - this.#start > this.#maxChunks;
  }

  #drop() {
    this.bytes -= this.#sizes[this.#start];
    this.#frames[this.#start] = undefined;
    this.#start += 1;
    if (this.#start < COMPACT_AT || this.#start * 2 < this.#frames.length) return;
    this.#frames = this.#frames.slice(this.#start);
    this.#sizes = this.#sizes.slice(this.#start);
    this.#start = 0;
  }
}

module.exports = { History };
