import type { Mark, Node } from 'prosemirror-model';

// What an agent without a model can make of a note.

const MOST_SENTENCES = 4;
const WORDS_A_MINUTE = 220;

/** How long a note is, and the first sentence of each of its paragraphs; empty where it says nothing. */
export function summaryOf(note: Node): string {
  const texts: string[] = [];
  let paragraphs = 0;
  note.descendants((node, _, parent) => {
    if (node.type.name === 'agent_note' || node.type.spec.code) return false;
    if (!node.isTextblock) return;
    const text = node.textBetween(0, node.content.size, ' ', ' ').trim();
    if (text === '') return false;
    texts.push(text);
    if (node.type.name === 'paragraph' && parent?.type.name !== 'list_item') paragraphs += 1;
    return false;
  });
  if (texts.length === 0) return '';
  const words = [...new Intl.Segmenter('en', { granularity: 'word' }).segment(texts.join(' '))].filter(
    ({ isWordLike }) => isWordLike,
  ).length;
  const minutes = Math.max(1, Math.round(words / WORDS_A_MINUTE));
  const size = `${counted(words, 'word')} in ${counted(paragraphs, 'paragraph')}, ${counted(minutes, 'minute')} to read.`;
  return [
    size,
    ...texts
      .filter((text) => /[.!?…]/.test(text))
      .map(firstSentence)
      .slice(0, MOST_SENTENCES),
  ].join(' ');
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

function firstSentence(text: string): string {
  const [first] = new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text);
  return first?.segment.trim() ?? '';
}

/** A place that should say something else. */
export interface Fix {
  from: number;
  to: number;
  text: string;
  marks: readonly Mark[];
}

/** What a typesetter would put right, outside of code; in the order of the note. */
export function fixesOf(note: Node): Fix[] {
  const fixes: Fix[] = [];
  note.descendants((node, start, parent) => {
    const { text, marks } = node;
    if (text === undefined || parent?.type.spec.code || marks.some(({ type }) => type.spec.code)) return;
    const before = textBefore(note, start);
    for (const match of text.matchAll(/ {2,}|\.{3}|"|'|(?<= )--?(?= )/g)) {
      const at = match.index;
      const right = rightFor(match[0], (at === 0 ? before : text[at - 1]) ?? '');
      fixes.push({ from: start + at, to: start + at + match[0].length, text: right, marks });
    }
  });
  return fixes;
}

/** The character before a text of other marks; empty at the beginning of a paragraph. */
function textBefore(note: Node, position: number): string {
  const { parentOffset, parent } = note.resolve(position);
  return parent.textBetween(Math.max(0, parentOffset - 1), parentOffset, undefined, ' ');
}

function rightFor(found: string, before: string): string {
  const isOpening = before === '' || /[\s([{–—“‘]/.test(before);
  if (found.startsWith(' ')) return ' ';
  if (found.startsWith('-')) return '–';
  if (found === '...') return '…';
  if (found === '"') return isOpening ? '“' : '”';
  return isOpening ? '‘' : '’';
}
