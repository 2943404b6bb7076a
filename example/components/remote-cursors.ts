import { type Extension, type Range, Annotation } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate, WidgetType } from '@codemirror/view';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { drawCaret } from '@/lib/caret';
import { colorOf, identityFrom } from '@/lib/identity';
import styles from './remote-cursors.module.css';

/** Where a window's selection is, as Y.js relative positions: they stay in place while others type. */
interface Cursor {
  anchor: unknown;
  head: unknown;
}

const peersChanged = Annotation.define<true>();

/** Tells the others where this window's selection is, and draws theirs with name and colour. */
export function remoteCursors(text: Y.Text, awareness: Awareness): Extension {
  return ViewPlugin.fromClass(
    class {
      decorations: DecorationSet = Decoration.none;
      readonly #view: EditorView;

      constructor(view: EditorView) {
        this.#view = view;
        this.decorations = draw(view);
        awareness.on('change', this.#onChange);
      }

      update(update: ViewUpdate): void {
        if (update.docChanged || update.selectionSet || update.focusChanged) publish(update.view);
        const isOfPeers = update.transactions.some((transaction) => transaction.annotation(peersChanged));
        if (update.docChanged || isOfPeers) this.decorations = draw(update.view);
      }

      destroy(): void {
        awareness.off('change', this.#onChange);
      }

      readonly #onChange = (change: { added: number[]; updated: number[]; removed: number[] }): void => {
        const isSelf = (id: number) => id === awareness.clientID;
        if ([...change.added, ...change.updated, ...change.removed].every(isSelf)) return;
        this.#view.dispatch({ annotations: peersChanged.of(true) });
      };
    },
    { decorations: (plugin) => plugin.decorations },
  );

  function publish(view: EditorView): void {
    if (!view.hasFocus) return; // the last place stays: it tells where somebody was
    const { anchor, head } = view.state.selection.main;
    const cursor: Cursor = { anchor: relative(anchor), head: relative(head) };
    const before: unknown = awareness.getLocalState()?.cursor;
    if (JSON.stringify(before) !== JSON.stringify(cursor)) awareness.setLocalStateField('cursor', cursor);
  }

  function draw(view: EditorView): DecorationSet {
    const { length } = view.state.doc;
    const ranges: Range<Decoration>[] = [];
    for (const [clientId, state] of awareness.getStates()) {
      const cursor: Partial<Cursor> | undefined = state.cursor;
      const identity = identityFrom(state.user);
      if (clientId === awareness.clientID || !identity || !cursor) continue;
      const anchor = absolute(cursor.anchor);
      const head = absolute(cursor.head);
      if (anchor === null || head === null || Math.max(anchor, head) > length) continue;

      const color = colorOf(identity.color);
      if (anchor !== head) {
        const mark = Decoration.mark({ class: styles.selection, attributes: { style: `--peer: ${color}` } });
        ranges.push(mark.range(Math.min(anchor, head), Math.max(anchor, head)));
      }
      const widget = new Caret(identity.name, color, JSON.stringify(cursor.head));
      // One's own caret at the same place stays outside of the other's.
      ranges.push(Decoration.widget({ widget, side: head > anchor ? -1 : 1 }).range(head));
    }
    return Decoration.set(ranges, true);
  }

  function relative(index: number): unknown {
    return Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, index));
  }

  function absolute(position: unknown): number | null {
    if (typeof position !== 'object' || position === null || text.doc === null) return null;
    const found = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(position), text.doc);
    return found?.type === text ? found.index : null;
  }
}

/** Somebody else's caret. Its label is shown after each move and when pointed at. */
class Caret extends WidgetType {
  constructor(
    readonly name: string,
    readonly color: string,
    readonly place: string,
  ) {
    super();
  }

  override eq(other: Caret): boolean {
    return other.name === this.name && other.color === this.color && other.place === this.place;
  }

  override toDOM(): HTMLElement {
    return drawCaret(this.name, this.color);
  }

  override ignoreEvent(): boolean {
    return true;
  }
}
