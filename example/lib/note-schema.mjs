// What a note may hold: the same for the editor, for the server that applies its steps, and for the agent.
import { Schema } from 'prosemirror-model';
import { marks, nodes } from 'prosemirror-schema-basic';
import { bulletList, listItem, orderedList } from 'prosemirror-schema-list';

const { doc, paragraph, heading, blockquote, code_block, horizontal_rule, hard_break, text } = nodes;
const { strong, em, code } = marks;

/** A passage that the agent writes. Its id is how it is found again while others edit around it, and in it. */
const agent_note = {
  attrs: { id: { validate: 'string' } },
  content: 'paragraph+',
  group: 'block',
  defining: true,
  parseDOM: [{ tag: 'aside[data-agent]', getAttrs: (/** @type {any} */ aside) => ({ id: aside.dataset.agent }) }],
  toDOM: (/** @type {any} */ { attrs }) => [
    'aside',
    { 'data-agent': attrs.id, 'aria-label': 'Written by the agent' },
    0,
  ],
};

export const schema = new Schema({
  nodes: {
    doc,
    paragraph,
    heading,
    blockquote,
    code_block,
    horizontal_rule,
    bullet_list: { ...bulletList, content: 'list_item+', group: 'block' },
    ordered_list: { ...orderedList, content: 'list_item+', group: 'block' },
    list_item: { ...listItem, content: 'paragraph block*' },
    agent_note,
    hard_break,
    text,
  },
  marks: { strong, em, code },
});
