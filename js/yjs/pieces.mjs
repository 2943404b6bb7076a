/**
 * Updates of a relay that are longer than a message, cut into pieces that are put together by whoever gets all of them.
 * Nobody else reads a relay's updates, so a single value may be of any length there. Whoever came in between, or
 * has missed a piece, gets the whole when the clients compare what they have.
 */

/** What may be put together at a time, in characters of base64. */
const LONGEST = 64 * 1024 * 1024;

let lastId = 0;

/** An update as it is, or its pieces in their order; null where it is longer than others would put together. */
export function piecesOf(update, length, sender) {
  if (update.length <= length) return [update];
  if (update.length > LONGEST) return null;
  const id = (lastId += 1);
  const count = Math.ceil(update.length / length);
  return Array.from({ length: count }, (_, index) => {
    return { sender, id, index, count, piece: update.slice(index * length, (index + 1) * length) };
  });
}

/** Puts the updates of others together. */
export class Assembly {
  /** By sender: `{ id, pieces }` of the update that is under way. Pieces of one sender come in order. */
  #begun = new Map();
  #characters = 0;

  /** The update that is whole now, if one is. */
  add(from, payload) {
    if (typeof payload === 'string') return payload;
    if (!isPiece(payload)) throw new TypeError('an update that is neither a text nor a piece of one');
    const { sender, id, index, count, piece } = payload;
    // Two windows may have one name towards the hub, but not one towards Y.js.
    const key = `${sender} ${from}`;
    const known = index === 0 ? this.#begin(key, id) : this.#begun.get(key);
    if (known?.id !== id || known.pieces.length !== index) return null;
    known.pieces.push(piece);
    this.#characters += piece.length;
    if (known.pieces.length < count && this.#characters <= LONGEST) return null;
    this.#forget(key);
    return known.pieces.length < count ? null : known.pieces.join('');
  }

  clear() {
    this.#begun.clear();
    this.#characters = 0;
  }

  #begin(key, id) {
    this.#forget(key);
    const begun = { id, pieces: [] };
    this.#begun.set(key, begun);
    return begun;
  }

  #forget(key) {
    for (const piece of this.#begun.get(key)?.pieces ?? []) this.#characters -= piece.length;
    this.#begun.delete(key);
  }
}

function isPiece(value) {
  if (typeof value !== 'object' || value === null) return false;
  const { sender, id, index, count, piece } = value;
  return [sender, id, index, count].every(Number.isSafeInteger) && typeof piece === 'string';
}
