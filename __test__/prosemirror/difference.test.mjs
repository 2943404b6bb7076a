// A document that came whole, as steps from the one before: always that document, and no more than what changed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Transform } from 'prosemirror-transform';
import { Schema } from 'prosemirror-model';
import { difference } from '../../js/prosemirror/difference.mjs';
import { paragraphs, schema } from '../support/editors.mjs';
import { randomNumbers } from '../support/random-edits.mjs';

/** Makes `after` of `before`; answers the mapping. */
function change(before, after) {
  const made = new Transform(before);
  for (const step of difference(before, after)) made.step(step);
  assert.ok(made.doc.eq(after), `${made.doc} is not ${after}`);
  return made;
}

test('equal documents differ by nothing', () => {
  assert.deepEqual(difference(paragraphs('a', 'b'), paragraphs('a', 'b')), []);
});

test('a position between two changes keeps its place', () => {
  const before = paragraphs('first', 'kept here', 'last');
  const after = paragraphs('first!', 'new', 'kept here', 'las');
  const { mapping } = change(before, after);
  const at = (doc) => {
    let found;
    doc.descendants((node, position) => void (node.text === 'kept here' && (found = position)));
    return found;
  };
  for (let offset = 1; offset < 9; offset += 1) {
    const mapped = mapping.mapResult(at(before) + offset);
    assert.deepEqual([mapped.pos, mapped.deleted], [at(after) + offset, false]);
  }
});

test('letters that repeat are changed where one of them was put in or taken out', () => {
  change(paragraphs('aaa'), paragraphs('aaaa'));
  change(paragraphs('aaaa'), paragraphs('aaa'));
  change(paragraphs('abab', 'abab'), paragraphs('abab', 'abab', 'abab'));
  change(paragraphs(''), paragraphs('', ''));
});

test('marks, kinds of block and nested blocks change', () => {
  const { nodes, marks } = schema;
  const quote = (...texts) => schema.node('blockquote', null, paragraphs(...texts).content);
  const doc = (...blocks) => schema.node('doc', null, blocks);
  const strong = nodes.paragraph.create(null, schema.text('bold', [marks.strong.create()]));
  change(doc(quote('one', 'two')), doc(quote('one', 'one and a half', 'two')));
  change(paragraphs('bold'), doc(strong));
  change(paragraphs('title'), doc(nodes.heading.create({ level: 2 }, schema.text('title'))));
  change(doc(quote('deep'), nodes.horizontal_rule.create()), doc(nodes.horizontal_rule.create(), quote('deeper')));
});

test('attributes of the document change, and content whose first block is another kind than the rest', () => {
  const own = new Schema({
    nodes: {
      doc: { content: 'title paragraph*', attrs: { language: { default: 'en' } } },
      title: { content: 'text*' },
      paragraph: { content: 'text*' },
      text: {},
    },
  });
  const doc = (language, title, ...texts) =>
    own.node('doc', { language }, [
      own.node('title', null, title ? own.text(title) : []),
      ...texts.map((text) => own.node('paragraph', null, text ? own.text(text) : [])),
    ]);
  change(doc('en', 'a', 'b'), doc('de', 'c'));
  change(doc('en', 'a'), doc('en', 'b', 'a', 'a'));
});

test('of five hundred pairs of random documents each becomes the other', () => {
  const random = randomNumbers(5);
  const words = ['', 'a', 'aa', 'ab', 'same', 'same', 'other'];
  const any = () =>
    paragraphs(
      ...Array.from({ length: 1 + Math.floor(random() * 6) }, () => words[Math.floor(random() * words.length)]),
    );
  for (let pair = 0; pair < 500; pair += 1) change(any(), any());
});
