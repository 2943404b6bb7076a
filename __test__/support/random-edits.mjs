// What an editor of a seeded run does: it writes words that no other writes, deletes, marks, splits and joins.
import { TextSelection } from 'prosemirror-state';
import { canJoin, canSplit } from 'prosemirror-transform';

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A position where text may stand. */
function place(doc, random) {
  const at = Math.floor(random() * (doc.content.size + 1));
  return TextSelection.near(doc.resolve(at)).head;
}

function range(doc, random, longest) {
  const from = place(doc, random);
  const to = Math.min(from + 1 + Math.floor(random() * longest), doc.resolve(from).end());
  return [from, to];
}

/**
 * One change.
 *
 * @param {import('prosemirror-state').EditorState} state
 * @param {string} word what is written, if something is
 * @returns `{ transaction, wrote }`, `wrote` where it was the word; null where nothing can be done
 */
export function randomEdit(state, random, word) {
  const { tr, doc, schema } = state;
  const kind = random();
  if (kind < 0.7) return { transaction: tr.insertText(word, place(doc, random)), wrote: true };
  if (kind < 0.77) {
    const [from, to] = range(doc, random, 5);
    return from < to ? { transaction: tr.delete(from, to) } : null;
  }
  if (kind < 0.87) {
    const [from, to] = range(doc, random, 20);
    const mark = random() < 0.5 ? schema.marks.strong : schema.marks.em;
    if (from >= to) return null;
    return { transaction: random() < 0.7 ? tr.addMark(from, to, mark.create()) : tr.removeMark(from, to, mark) };
  }
  const at = place(doc, random);
  if (kind < 0.96) return canSplit(doc, at) ? { transaction: tr.split(at) } : null;
  const before = doc.resolve(at).before(1);
  return before > 0 && canJoin(doc, before) ? { transaction: tr.join(before) } : null;
}
