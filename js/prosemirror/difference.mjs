// A document that came whole, as steps from the one that was there: what did not change keeps its place, so that the
// selection, the history of undo and steps that were not sent yet survive.
import { Fragment, Slice } from 'prosemirror-model';
import { DocAttrStep, ReplaceStep, Transform } from 'prosemirror-transform';

/** Cells of the table that finds equal blocks; beyond, all between the first and the last change is replaced at once. */
const MOST_CELLS = 1_000_000;

const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);

/**
 * Pairs of equal blocks, in the order of both documents, by the longest common subsequence.
 *
 * @returns {[number, number][]}
 */
function equalBlocks(before, after) {
  let start = 0;
  const [m, n] = [before.childCount, after.childCount];
  while (start < Math.min(m, n) && before.child(start).eq(after.child(start))) start += 1;
  let end = 0;
  while (end < Math.min(m, n) - start && before.child(m - 1 - end).eq(after.child(n - 1 - end))) end += 1;
  const pairs = range(0, start).map((index) => [index, index]);
  const [rows, columns] = [m - end - start, n - end - start];
  if (rows * columns <= MOST_CELLS) pairs.push(...commonBlocks(before, after, start, rows, columns));
  return [...pairs, ...range(0, end).map((index) => [m - end + index, n - end + index])];
}

function commonBlocks(before, after, start, rows, columns) {
  const isEqual = (row, column) => before.child(start + row).eq(after.child(start + column));
  const length = Array.from({ length: rows + 1 }, () => new Uint32Array(columns + 1));
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      length[row][column] = isEqual(row, column)
        ? length[row + 1][column + 1] + 1
        : Math.max(length[row + 1][column], length[row][column + 1]);
    }
  }
  const pairs = [];
  for (let row = 0, column = 0; row < rows && column < columns;) {
    if (isEqual(row, column)) pairs.push([start + row++, start + column++]);
    else if (length[row + 1][column] >= length[row][column + 1]) row += 1;
    else column += 1;
  }
  return pairs;
}

/** The one step that changes a block's content, `at` its first position. */
function contentStep(before, after, at) {
  const start = before.content.findDiffStart(after.content);
  let { a, b } = before.content.findDiffEnd(after.content);
  // In "aa" and "aaa" what is equal from the start and from the end overlaps.
  const overlap = Math.max(0, start - Math.min(a, b));
  a += overlap;
  b += overlap;
  return new ReplaceStep(at + start, at + a, after.slice(start, b));
}

const size = (nodes) => nodes.reduce((sum, node) => sum + node.nodeSize, 0);
const blocks = (doc, from, to) => range(from, to).map((index) => doc.child(index));
const isSameBut = (before, after) => before.sameMarkup(after) && !before.isLeaf;

/**
 * Steps that make `after` of `before`.
 *
 * @returns {import('prosemirror-transform').Step[]}
 */
export function difference(before, after) {
  const steps = blockSteps(before, after);
  const made = new Transform(before);
  // On the way block by block a document may not be one of its schema, as where the first must be a heading.
  if (steps.every((step) => !made.maybeStep(step).failed) && made.doc.eq(after)) return steps;
  return [...attributeSteps(before, after), new ReplaceStep(0, before.content.size, new Slice(after.content, 0, 0))];
}

function attributeSteps(before, after) {
  return Object.keys(after.attrs)
    .filter((name) => JSON.stringify(before.attrs[name]) !== JSON.stringify(after.attrs[name]))
    .map((name) => new DocAttrStep(name, after.attrs[name]));
}

function blockSteps(before, after) {
  const steps = attributeSteps(before, after);
  let [row, column] = [0, 0];
  /** Where the next block begins in `after`, and as well in what the steps so far have made of `before`. */
  let at = 0;
  const put = (old, wanted) => {
    if (old.length === wanted.length && old.every((node, index) => isSameBut(node, wanted[index]))) {
      old.forEach((node, index) => {
        if (!node.eq(wanted[index])) steps.push(contentStep(node, wanted[index], at + 1));
        at += wanted[index].nodeSize;
      });
    } else if (old.length + wanted.length > 0) {
      steps.push(new ReplaceStep(at, at + size(old), new Slice(Fragment.from(wanted), 0, 0)));
      at += size(wanted);
    }
  };
  for (const [nextRow, nextColumn] of [...equalBlocks(before, after), [before.childCount, after.childCount]]) {
    put(blocks(before, row, nextRow), blocks(after, column, nextColumn));
    if (nextColumn < after.childCount) at += after.child(nextColumn).nodeSize;
    [row, column] = [nextRow + 1, nextColumn + 1];
  }
  return steps;
}
