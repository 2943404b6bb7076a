import * as Y from 'yjs';

/**
 * An update as several that say the same and are valid each for itself, in the order in which they are best applied.
 *
 * A text and an array are cut where it has to be. A single value, such as a picture in a map, cannot be cut: one that is
 * longer than `fits` allows becomes a deleted one, and is reported in `removed`.
 *
 * @param {Uint8Array} update
 * @param {number} target bytes that an update should have at most
 * @param {(bytes: number) => boolean} fits whether an update of so many bytes can be sent at all
 */
export function splitUpdate(update, target, fits) {
  if (update.length <= target) return { updates: [update], removed: [] };
  const { structs, ds } = Y.decodeUpdate(update);
  const removed = [];
  const parts = new Parts(target);
  for (const struct of causally(structs)) {
    for (const { piece, bytes } of cut(struct, target)) {
      if (bytes.length <= target || fits(bytes.length + FRAME)) parts.add(piece, bytes);
      else {
        const { client, clock } = piece.id;
        removed.push({ client, clock, length: piece.length, bytes: bytes.length });
        const tombstone = itemLike(piece, piece.id, piece.origin, new Y.ContentDeleted(piece.length));
        parts.add(tombstone, encoded(tombstone));
      }
    }
  }
  for (const [client, deletions] of ds.clients)
    for (const { clock, len } of deletions) parts.delete(client, clock, len);
  for (const { client, clock, length } of removed) parts.delete(client, clock, length);
  return { updates: parts.end(), removed };
}

/** An update that only deletes. */
export function deletionOf(values) {
  const parts = new Parts(Infinity);
  for (const { client, clock, length } of values) parts.delete(client, clock, length);
  return parts.end()[0];
}

/** More than what stands around a single struct in an update. */
const FRAME = 64;

/**
 * Structs so that each comes after what it stands on. Y.js has what comes too early wait, merges it with whatever comes next,
 * and does not always see that it need not wait any more.
 */
function* causally(structs) {
  const queues = new Map();
  for (const struct of structs) {
    const { client } = struct.id;
    if (!queues.has(client)) queues.set(client, { structs: [], taken: 0 });
    queues.get(client).structs.push(struct);
  }
  const next = (client) => queues.get(client)?.structs[queues.get(client).taken];
  for (const first of queues.keys()) {
    // Each waits for the one after it.
    const stack = [first];
    while (stack.length > 0) {
      const client = stack.at(-1);
      const struct = next(client);
      const early = struct && neededBy(struct).find((id) => next(id.client)?.id.clock <= id.clock);
      if (early && !stack.includes(early.client)) stack.push(early.client);
      else {
        if (struct) {
          queues.get(client).taken += 1;
          yield struct;
        }
        if (!struct || stack.length > 1) stack.pop();
      }
    }
  }
}

function neededBy({ origin, rightOrigin, parent }) {
  return [origin, rightOrigin, parent].filter((id) => id instanceof Y.ID);
}

function encoded(struct) {
  const encoder = new Y.UpdateEncoderV1();
  struct.write(encoder, 0);
  return encoder.toUint8Array();
}

/** A struct of a decoded update, in halves until each is short enough or cannot be cut. */
function* cut(struct, target) {
  const bytes = encoded(struct);
  const at = bytes.length > target ? middleOf(struct) : 0;
  if (at === 0) {
    yield { piece: struct, bytes };
    return;
  }
  const { id, content } = struct;
  const rest = content.splice(at);
  yield* cut(itemLike(struct, id, struct.origin, content), target);
  // As Y.js itself cuts an item: the rest stands to the right of the last character before it.
  const [from, before] = [id.clock + at, id.clock + at - 1];
  yield* cut(itemLike(struct, Y.createID(id.client, from), Y.createID(id.client, before), rest), target);
}

/** Where an item can be cut in two; 0 where it cannot. Half a surrogate pair is no character. */
function middleOf(struct) {
  if (!(struct instanceof Y.Item) || struct.length < 2) return 0;
  const middle = struct.length >> 1;
  const { str } = struct.content;
  if (str === undefined) return middle;
  const isHigh = (code) => code >= 0xd800 && code <= 0xdbff;
  return isHigh(str.charCodeAt(middle - 1)) ? middle - 1 : middle;
}

function itemLike({ rightOrigin, parent, parentSub }, id, origin, content) {
  return new Y.Item(id, null, origin, null, rightOrigin, parent, parentSub, content);
}

/** Updates in the making. The format is that of `Y.encodeStateAsUpdate`: structs by client, then deletions by client. */
class Parts {
  #target;
  #done = [];
  /** By client: `{ clock, count, chunks }` of the part that is being filled. */
  #sections = new Map();
  /** By client: its deletions as `[clock, length]`. */
  #deletions = new Map();
  #bytes = 0;

  constructor(target) {
    this.#target = target;
  }

  add(struct, bytes) {
    const { client, clock } = struct.id;
    if (this.#bytes + bytes.length > this.#target) this.#finish();
    let section = this.#sections.get(client);
    if (section === undefined) {
      section = { clock, count: 0, chunks: [] };
      this.#sections.set(client, section);
      this.#bytes += FRAME;
    }
    section.count += 1;
    section.chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  delete(client, clock, length) {
    if (this.#bytes > this.#target) this.#finish();
    const deletions = this.#deletions.get(client) ?? [];
    this.#deletions.set(client, deletions);
    deletions.push([clock, length]);
    this.#bytes += DELETION;
  }

  end() {
    this.#finish();
    return this.#done;
  }

  #finish() {
    if (this.#bytes === 0) return;
    const head = [];
    varUint(head, this.#sections.size);
    const chunks = [head];
    for (const [client, { clock, count, chunks: structs }] of byClient(this.#sections)) {
      const begin = [];
      for (const number of [count, client, clock]) varUint(begin, number);
      // Not by `...`: there may be more of them than a call takes arguments.
      chunks.push(begin);
      for (const struct of structs) chunks.push(struct);
    }
    const tail = [];
    varUint(tail, this.#deletions.size);
    for (const [client, deletions] of byClient(this.#deletions)) {
      for (const number of [client, deletions.length, ...deletions.flat()]) varUint(tail, number);
    }
    chunks.push(tail);
    this.#done.push(joined(chunks));
    this.#sections = new Map();
    this.#deletions = new Map();
    this.#bytes = 0;
  }
}

/** The higher first, as Y.js writes them: its merging of updates relies on that. */
const byClient = (map) => [...map].sort(([a], [b]) => b - a);

/** The longest that one deletion can be, two numbers of 32 bits. */
const DELETION = 10;

/** Seven bits a byte, the lowest first, as lib0 writes them. */
function varUint(bytes, number) {
  for (; number > 0x7f; number = Math.floor(number / 0x80)) bytes.push(0x80 | (number % 0x80));
  bytes.push(number);
}

function joined(chunks) {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
