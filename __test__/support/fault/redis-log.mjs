// What Redis was told of each document, branch by branch: heard as it is published, and read as it stands.

import { decode } from './log-entry.mjs';

/** One epoch of a document. */
export class Tree {
  /** By offset: `{ offset, previous, label, to }` and what else log-entry.mjs says of it. */
  entries = new Map();

  constructor(epoch) {
    this.epoch = epoch;
  }

  add(entry, wrong) {
    const known = this.entries.get(entry.offset);
    if (known && (known.label !== entry.label || known.previous !== entry.previous)) {
      wrong(`offset ${entry.offset} was given to ${known.label} and to ${entry.label}`);
    }
    this.entries.set(entry.offset, entry);
  }

  /** A client saw what was published when Redis was killed, and nobody else. */
  adopt(entry) {
    const offsets = [...this.entries.keys()].filter((each) => each < entry.offset);
    this.entries.set(entry.offset, { ...entry, previous: Math.max(0, ...offsets) });
  }

  /** Everything from the beginning to an offset, along what stands behind what. */
  pathTo(offset) {
    const path = [];
    for (let entry = this.entries.get(offset); entry; entry = this.entries.get(entry.previous)) path.push(entry);
    return path.reverse();
  }

  /** The last offsets of all branches. */
  get tips() {
    const inner = new Set([...this.entries.values()].map(({ previous }) => previous));
    return [...this.entries.keys()].filter((offset) => !inner.has(offset));
  }
}

export class RedisLog {
  #documents;
  wrongs = [];
  /** Where each document stood when it was read last: `{ epoch, offset }`. */
  tops = new Map();

  /** Whatever is said of other documents is none of the test's: what a hub tries when it starts, say. */
  constructor(documentIds) {
    this.#documents = new Map(documentIds.map((id) => [id, []]));
  }

  #tree(documentId, epoch) {
    const trees = this.#documents.get(documentId);
    let tree = trees.find((each) => each.epoch === epoch);
    if (!tree) trees.push((tree = new Tree(epoch)));
    return tree;
  }

  #add(tree, documentId, entry) {
    tree.add(entry, (what) => this.wrongs.push(`${documentId}: ${what}`));
  }

  /** What was published on the channel of a document. */
  heard(channel, message) {
    const documentId = /\{(.*)\}:said$/.exec(channel)?.[1];
    if (!this.#documents.has(documentId) || message[0] === 0x21) return;
    const end = message.indexOf(10);
    const [, , epoch, , , top, first] = message.toString('latin1', 0, end).split(' ');
    const tree = this.#tree(documentId, epoch);
    let [previous, offset, at] = [Number(top), Number(first), end + 1];
    while (at < message.length) {
      const colon = message.indexOf(0x3a, at);
      const next = colon + 1 + Number(message.toString('latin1', at, colon));
      this.#add(tree, documentId, { offset, previous, ...decode(message.subarray(colon + 1, next)) });
      [previous, offset, at] = [offset, offset + 1, next];
    }
  }

  /** Reads what stands of the documents, which may not have been heard. */
  async read(redis) {
    for (const documentId of this.#documents.keys()) {
      const meta = `hub:{${documentId}}:meta`;
      const [epoch, top] = await redis.call('HMGET', meta, 'e', 'o');
      const stood = await redis.call('XRANGE', `hub:{${documentId}}:log`, '-', '+');
      // Where it was begun anew in between it is read the next time.
      if (epoch === null || String(await redis.call('HGET', meta, 'e')) !== String(epoch)) continue;
      const tree = this.#tree(documentId, String(epoch));
      this.tops.set(documentId, { epoch: String(epoch), offset: Number(top) });
      for (const [id, [, value]] of stood) {
        let at = 0;
        const words = Array.from({ length: 4 }, () => {
          const end = value.indexOf(0x20, at);
          const word = value.toString('latin1', at, end);
          at = end + 1;
          return word;
        });
        const offset = Number(String(id).split('-')[0]);
        this.#add(tree, documentId, { offset, previous: Number(words[2]), ...decode(value.subarray(at)) });
      }
    }
  }

  /** The epochs of a document, in the order they were heard of. */
  trees(documentId) {
    return this.#documents.get(documentId);
  }
}
