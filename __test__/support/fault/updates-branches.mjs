// What must hold of a document that keeps its updates, beside what holds of a relay: the app has all of them in the end.
import { Branches } from './branches.mjs';
import { REPLACED } from './labels.mjs';

export class UpdatesBranches extends Branches {
  check(wrong, about) {
    super.check(wrong, about);
    this.mayBeGone = this.hasLost && about.givenUp > 0;
    const final = about.documents[0];
    this.final = final.labels;
    const sorted = (labels) => [...labels].sort().join();
    for (const [index, { labels }] of about.documents.entries()) {
      if (sorted(labels) !== sorted(final.labels))
        wrong(`process ${index} has ${labels.length} updates of ${final.labels.length}`);
    }
    this.#checkSaves(wrong, about.app, final.labels);
    const has = new Set(final.labels);
    for (const label of this.#labels) if (!has.has(label)) wrong(`${label} is in the log, and in no document`);
  }

  get #labels() {
    return this.path.flatMap(({ label, labels }) => (label === REPLACED ? labels : [label]));
  }

  /** What was put there again stands in any order, which updates may. Those of route handlers look the same. */
  firstIn(path) {
    return this.hasLost ? path.filter(({ toAll }) => !toAll) : path;
  }

  get left() {
    return new Set(this.final);
  }

  #checkSaves(wrong, app, labels) {
    const saves = app.saves.filter(({ documentId }) => documentId === this.documentId);
    let before = [];
    for (const save of saves) {
      const has = new Set(save.labels);
      const gone = before.filter((label) => !has.has(label));
      if (gone.length > 0 && !this.mayBeGone)
        wrong(`was saved without ${gone[0]} and ${gone.length - 1} more, which were saved`);
      before = save.labels;
    }
    const has = new Set(before);
    const unsaved = labels.filter((label) => !has.has(label));
    if (unsaved.length > 0) wrong(`${unsaved[0]} and ${unsaved.length - 1} more are not saved`);
  }

  isSaved(app) {
    const has = new Set(app.row(this.documentId).labels);
    return this.#labels.every((label) => has.has(label));
  }
}
