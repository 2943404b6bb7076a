import { lift, setBlockType, toggleMark, wrapIn } from 'prosemirror-commands';
import { redo, undo } from 'prosemirror-history';
import type { MarkType, NodeType } from 'prosemirror-model';
import { liftListItem, wrapInList } from 'prosemirror-schema-list';
import type { Command, EditorState } from 'prosemirror-state';
import { schema } from './note-schema.mjs';

/** Something that can be done to the note where the selection is. */
export interface NoteAction {
  name: string;
  keys?: string;
  /** Its button shows these, or a drawing of 18 by 18. */
  letters?: string;
  icon?: string;
  /** Whether the selection is of this already, so that the command takes it back. */
  isOn?(state: EditorState): boolean;
  command(state: EditorState): Command;
}

const { strong, em, code } = schema.marks as Record<'strong' | 'em' | 'code', MarkType>;
const { paragraph, heading, blockquote, bullet_list, ordered_list, list_item } = schema.nodes as Record<
  'paragraph' | 'heading' | 'blockquote' | 'bullet_list' | 'ordered_list' | 'list_item',
  NodeType
>;

const mark = (type: MarkType): Pick<NoteAction, 'isOn' | 'command'> => ({
  isOn: ({ selection: { from, to, empty, $from }, storedMarks, doc }) =>
    empty ? type.isInSet(storedMarks ?? $from.marks()) !== undefined : doc.rangeHasMark(from, to, type),
  command: () => toggleMark(type),
});

const isWithin = ({ selection: { $from } }: EditorState, is: (type: NodeType) => boolean): boolean =>
  Array.from({ length: $from.depth }, (_, depth) => $from.node(depth + 1)).some((node) => is(node.type));

const level = (wanted: number): Pick<NoteAction, 'isOn' | 'command'> => {
  const isOn = ({ selection: { $from } }: EditorState) => $from.parent.hasMarkup(heading, { level: wanted });
  return {
    isOn,
    command: (state) => (isOn(state) ? setBlockType(paragraph) : setBlockType(heading, { level: wanted })),
  };
};

const list = (type: NodeType): Pick<NoteAction, 'isOn' | 'command'> => {
  const isOn = (state: EditorState) => isWithin(state, (each) => each === type);
  return { isOn, command: (state) => (isOn(state) ? liftListItem(list_item) : wrapInList(type)) };
};

const quote: Pick<NoteAction, 'isOn' | 'command'> = {
  isOn: (state) => isWithin(state, (each) => each === blockquote),
  command: (state) => (isWithin(state, (each) => each === blockquote) ? lift : wrapIn(blockquote)),
};

/** In the groups in which they stand. */
export const noteActions: readonly (readonly NoteAction[])[] = [
  [
    { name: 'Bold', keys: 'Ctrl+B', letters: 'B', ...mark(strong) },
    { name: 'Italic', keys: 'Ctrl+I', letters: 'I', ...mark(em) },
    { name: 'Code', keys: 'Ctrl+E', icon: 'M6 5 2.5 9 6 13M12 5l3.5 4L12 13', ...mark(code) },
  ],
  [
    { name: 'Title', keys: '# and a space', letters: 'H1', ...level(1) },
    { name: 'Heading', keys: '## and a space', letters: 'H2', ...level(2) },
  ],
  [
    {
      name: 'List',
      keys: '- and a space',
      icon: 'M7 4.5h8.5M7 9h8.5M7 13.5h8.5M2.8 4.5h.01M2.8 9h.01M2.8 13.5h.01',
      ...list(bullet_list),
    },
    {
      name: 'Numbers',
      keys: '1. and a space',
      icon: 'M8 4.5h7.5M8 9h7.5M8 13.5h7.5M2.5 3.4l1-.6v3.6M2.2 11.8c0-1.5 2.3-1.4 2.1 0-.1.8-2.1 2.4-2.1 2.4h2.3',
      ...list(ordered_list),
    },
    { name: 'Quote', keys: '> and a space', icon: 'M3 3.5v11M7 5.5h8.5M7 9h8.5M7 12.5h5', ...quote },
  ],
  [
    { name: 'Undo', keys: 'Ctrl+Z', icon: 'M6 4 3 7l3 3M3.4 7H11a3.6 3.6 0 0 1 0 7.2H7', command: () => undo },
    { name: 'Redo', keys: 'Ctrl+Y', icon: 'M12 4l3 3-3 3M14.6 7H7a3.6 3.6 0 0 0 0 7.2h4', command: () => redo },
  ],
];
