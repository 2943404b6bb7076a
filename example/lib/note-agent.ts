import { setTimeout as pause } from 'node:timers/promises';
import { editDocument, getDocument } from '@captify-io/hub';
import { Node } from 'prosemirror-model';
import { Transform } from 'prosemirror-transform';
import { schema } from './note-schema.mjs';
import { type Fix, fixesOf, summaryOf } from './note-reading';

/** What the agent has done. */
export interface AgentReport {
  /** `done`, or why it is not: nothing to do, stopped by who had asked, or its passage was taken out by somebody. */
  end: 'done' | 'nothing' | 'stopped' | 'removed';
  /** Words it has written, or places it has put right. */
  count: number;
  /** Edits that are in the note. */
  edits: number;
  /** How often an edit was made again, because somebody else was quicker. */
  again: number;
}

/** A model writes about as fast. */
const PAUSE_MS = 60;
const WORDS_AT_ONCE = 2;
/** Of one edit; the next call has the rest. */
const MOST_FIXES = 200;

/** Writes a summary at the end of a note, word by word, while others go on editing it. An older one makes way. */
export async function summarise(documentId: string, signal: AbortSignal): Promise<AgentReport> {
  const writer = new Writer(documentId);
  const words = summaryOf(noteOf((await getDocument(documentId)).doc)).match(/\S+\s*/g) ?? [];
  if (words.length === 0) return writer.report('nothing', 0);

  const id = crypto.randomUUID();
  await writer.edit((tr) => {
    for (const { from, to } of passages(tr.doc, () => true).reverse()) tr.delete(from, to);
    tr.insert(tr.doc.content.size, passage(id));
  });
  for (let at = 0; at < words.length; at += WORDS_AT_ONCE) {
    if (signal.aborted) return writer.report('stopped', at);
    const isThere = await writer.edit((tr) => {
      const [own] = passages(tr.doc, (each) => each === id);
      if (!own) return false;
      // Before the ends of its last paragraph and of itself.
      tr.insert(own.to - 2, schema.text(words.slice(at, at + WORDS_AT_ONCE).join('')));
    });
    if (!isThere) return writer.report('removed', at);
    await pause(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  return writer.report('done', words.length);
}

/** Puts spaces, quotes and dashes right, all at once. */
export async function tidyUp(documentId: string): Promise<AgentReport> {
  const writer = new Writer(documentId);
  let fixes: Fix[] = [];
  await writer.edit((tr) => {
    fixes = fixesOf(tr.doc).slice(0, MOST_FIXES);
    // From the end on: so the places of the others stay right.
    for (const { from, to, text, marks } of fixes.toReversed()) tr.replaceWith(from, to, schema.text(text, marks));
    return fixes.length > 0;
  });
  return writer.report(fixes.length === 0 ? 'nothing' : 'done', fixes.length);
}

/** Edits a note as it is at the time, and counts. */
class Writer {
  readonly #documentId: string;
  #edits = 0;
  #calls = 0;

  constructor(documentId: string) {
    this.#documentId = documentId;
  }

  /**
   * @param change is called again, on a newer note, where somebody else was quicker; answers false for nothing to do
   * @returns whether there was something to do
   */
  async edit(change: (tr: Transform) => boolean | void): Promise<boolean> {
    let isDone = false;
    await editDocument(this.#documentId, ({ doc }) => {
      this.#calls += 1;
      const tr = new Transform(noteOf(doc));
      isDone = change(tr) !== false;
      return isDone ? tr.steps.map((step) => step.toJSON()) : null;
    });
    if (isDone) this.#edits += 1;
    else this.#calls -= 1;
    return isDone;
  }

  report(end: AgentReport['end'], count: number): AgentReport {
    return { end, count, edits: this.#edits, again: this.#calls - this.#edits };
  }
}

/** A note that nobody has written in has no JSON yet. */
function noteOf(doc: unknown): Node {
  return doc ? Node.fromJSON(schema, doc) : schema.topNodeType.createAndFill()!;
}

function passage(id: string): Node {
  return schema.node('agent_note', { id }, [schema.node('paragraph')]);
}

/** Where passages of the agent stand, by their ids. */
function passages(doc: Node, is: (id: string) => boolean): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  doc.descendants((node, from) => {
    if (node.type.name !== 'agent_note') return;
    if (is(node.attrs.id)) found.push({ from, to: from + node.nodeSize });
    return false;
  });
  return found;
}
