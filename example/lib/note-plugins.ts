import { baseKeymap, chainCommands, exitCode, toggleMark } from 'prosemirror-commands';
import { history, redo, undo } from 'prosemirror-history';
import { inputRules, textblockTypeInputRule, wrappingInputRule } from 'prosemirror-inputrules';
import { keymap } from 'prosemirror-keymap';
import type { NodeType, Schema } from 'prosemirror-model';
import { liftListItem, sinkListItem, splitListItem } from 'prosemirror-schema-list';
import { type Command, type EditorState, Plugin } from 'prosemirror-state';
import { Decoration, DecorationSet } from 'prosemirror-view';

const PLACEHOLDER = 'Write something. It stays.';

/** What an editor of notes needs beside its connection: keys, undo, shortcuts as in Markdown, and words for an empty note. */
export function notePlugins(schema: Schema): Plugin[] {
  return [shortcuts(schema), keymap(keys(schema)), keymap(baseKeymap), history(), placeholder()];
}

function type(schema: Schema, name: string): NodeType {
  const found = schema.nodes[name];
  if (!found) throw new Error(`The schema has no ${name}`);
  return found;
}

function keys(schema: Schema): Record<string, Command> {
  const { strong, em, code } = schema.marks;
  const item = type(schema, 'list_item');
  const lineBreak: Command = chainCommands(exitCode, (state, dispatch) => {
    dispatch?.(state.tr.replaceSelectionWith(type(schema, 'hard_break').create()).scrollIntoView());
    return true;
  });
  return {
    ...(strong && { 'Mod-b': toggleMark(strong) }),
    ...(em && { 'Mod-i': toggleMark(em) }),
    ...(code && { 'Mod-e': toggleMark(code) }),
    'Mod-z': undo,
    'Shift-Mod-z': redo,
    'Mod-y': redo,
    Enter: splitListItem(item),
    'Shift-Enter': lineBreak,
    // Not Tab: whoever has no mouse leaves the editor by it.
    'Mod-]': sinkListItem(item),
    'Mod-[': liftListItem(item),
  };
}

function shortcuts(schema: Schema): Plugin {
  const level = (match: RegExpMatchArray) => ({ level: match[1]?.length ?? 1 });
  return inputRules({
    rules: [
      textblockTypeInputRule(/^(#{1,2})\s$/, type(schema, 'heading'), level),
      textblockTypeInputRule(/^```$/, type(schema, 'code_block')),
      wrappingInputRule(/^\s*>\s$/, type(schema, 'blockquote')),
      wrappingInputRule(/^\s*[-*]\s$/, type(schema, 'bullet_list')),
      wrappingInputRule(/^1\.\s$/, type(schema, 'ordered_list')),
    ],
  });
}

function placeholder(): Plugin {
  const decorations = ({ doc }: EditorState) => {
    const first = doc.firstChild;
    if (doc.childCount !== 1 || !first?.isTextblock || first.content.size > 0) return null;
    return DecorationSet.create(doc, [Decoration.node(0, first.nodeSize, { 'data-placeholder': PLACEHOLDER })]);
  };
  return new Plugin({ props: { decorations } });
}
