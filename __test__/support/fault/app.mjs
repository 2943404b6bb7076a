// The app's database of the fault test, which outlives the processes that ask it; everything that it was told is kept.
import { setTimeout as delay } from 'node:timers/promises';
import { labelsIn } from './labels.mjs';
import { between, stream } from './seeded.mjs';

/** How long an answer is on its way at the longest: a process may be killed meanwhile. */
const LONGEST_MS = 150;

export class App {
  #rows = new Map();
  /** Every save: `{ documentId, version, previousVersion, labels, by, isTaken }`. */
  saves = [];
  /** Every conflict that was decided, by document. */
  conflicts = new Map();
  loads = 0;

  constructor(seed) {
    this.random = stream(seed, 'database');
  }

  /** What there is of a document: `{ version, labels }`. */
  row(documentId) {
    return this.#rows.get(documentId) ?? { version: 0, labels: [] };
  }

  #later() {
    return delay(between(this.random, 0, LONGEST_MS));
  }

  async load({ documentId }) {
    this.loads += 1;
    await this.#later();
    const row = this.#rows.get(documentId);
    if (!row) return null;
    return row.state === undefined ? { doc: row.doc, version: row.version } : { state: row.state };
  }

  /** Takes a document as docs/documents.md says: where it is at the version before, or at this one already. */
  async save(about, by) {
    await this.#later();
    const { documentId, doc, state, version = about.offset, previousVersion = about.previousOffset } = about;
    const labels = state ?? labelsIn(doc);
    const there = this.row(documentId).version;
    // Of updates there is no version by which to tell: what is saved holds what was saved before.
    const isTaken = state !== undefined || [previousVersion, version].includes(there);
    this.saves.push({ documentId, version, previousVersion, there, labels, by, isTaken });
    if (isTaken) this.#rows.set(documentId, { version, labels, doc, state });
    await this.#later();
    if (!isTaken) throw new Error(`${documentId} is at version ${there}, and not at ${previousVersion}`);
  }

  /** As a hub decides that was given no hook. */
  async conflict({ documentId }) {
    this.conflicts.set(documentId, (this.conflicts.get(documentId) ?? 0) + 1);
    return 'loaded';
  }
}
