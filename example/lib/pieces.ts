/**
 * Updates that are longer than the hub takes, cut into pieces. A paste of a megabyte is one Y.js update, which cannot be
 * applied in part; its pieces travel as `update` messages of their own and are put together by whoever gets them all.
 * Who came in between, or missed one, finds the difference when the windows compare what they have.
 */

/** Characters of a piece: well below the hub's `maxMessageBytes`, so that others' messages come in between. */
const PIECE_LENGTH = 256 * 1024;
/** What one sender may have put together here, in characters. */
const LONGEST = 64 * 1024 * 1024;

interface Piece {
  /** Counts what one window has cut. */
  id: number;
  index: number;
  count: number;
  piece: string;
}

let lastId = 0;

/** What to send for an update: itself, or its pieces in their order. */
export function piecesOf(update: string): (string | Piece)[] {
  if (update.length <= PIECE_LENGTH) return [update];
  const id = ++lastId;
  const count = Math.ceil(update.length / PIECE_LENGTH);
  return Array.from({ length: count }, (_, index) => {
    return { id, index, count, piece: update.slice(index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH) };
  });
}

/** Puts the updates of others together. */
export class Assembly {
  readonly #begun = new Map<string, { id: number; pieces: string[] }>();

  /** The update that is whole now, if one is. Pieces of one sender come in order; one that does not fit is dropped. */
  add(from: string, payload: unknown): string | null {
    if (typeof payload === 'string') return payload;
    if (!isPiece(payload)) return null;
    const { id, index, count, piece } = payload;
    const known = index === 0 ? { id, pieces: [] } : this.#begun.get(from);
    if (known?.id !== id || known.pieces.length !== index || count * PIECE_LENGTH > LONGEST) return null;
    known.pieces.push(piece);
    if (known.pieces.length < count) this.#begun.set(from, known);
    else this.#begun.delete(from);
    return known.pieces.length < count ? null : known.pieces.join('');
  }

  clear(): void {
    this.#begun.clear();
  }
}

function isPiece(value: unknown): value is Piece {
  if (typeof value !== 'object' || value === null) return false;
  const { id, index, count, piece } = value as Piece;
  const isNumbered = [id, index, count].every(Number.isSafeInteger);
  return isNumbered && typeof piece === 'string' && piece.length <= PIECE_LENGTH;
}
