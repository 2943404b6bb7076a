// What must hold of a document with an authority over several processes: one order of steps for everybody, each of them once,
// made for what stands before it; and the app's copy, which is a beginning of it and in the end all of it.
import { Branches } from './branches.mjs';
import { REPLACED } from './labels.mjs';

const show = (labels) => `${labels.length} labels, the last ${labels.slice(-3).join(', ')}`;

/** Where the second list is another than the first: what is there in both; `null` where they are the same. */
function difference(due, got) {
  if (due.length === got.length && due.every((label, index) => label === got[index])) return null;
  const at = due.findIndex((label, index) => label !== got[index]);
  if (at < 0) return `goes on with ${got[due.length]} behind all ${due.length}`;
  return `has ${got[at] ?? 'nothing'} and not ${due[at]} at ${at}`;
}

const isBeginningOf = (some, all) => some.length <= all.length && some.every((label, index) => label === all[index]);

export class StepsBranches extends Branches {
  /**
   * @param about beside that of all branches: `members`, the clients; `documents`, as each process reads it in the end:
   *   `{ version, labels }`; `app`, see app.mjs; `givenUp`, how often processes said that steps have no place any more
   */
  check(wrong, about) {
    super.check(wrong, about);
    this.mayBeGone = this.hasLost && about.givenUp > 0;
    for (const { path } of this.ways()) this.#checkOrder(path, wrong);
    this.#checkBeginnings(wrong);
    this.final = about.documents[0];
    this.#checkEverybody(wrong, about);
    this.#checkSaves(wrong, about.app);
    if (!this.hasLost && about.app.conflicts.has(this.documentId)) wrong('was in conflict, and nothing was lost');
  }

  /** Versions follow each other, and every step stands behind the one that it was made for. */
  #checkOrder(path, wrong) {
    let version;
    let last;
    const labels = new Set();
    for (const entry of path) {
      if (entry.label === REPLACED) {
        [version, last] = [entry.version, entry.labels.at(-1)];
        labels.clear();
        for (const label of entry.labels) labels.add(label);
        continue;
      }
      if (version !== undefined && entry.version !== version) {
        wrong(`${entry.label} at ${entry.offset} is for version ${entry.version}, and the document is at ${version}`);
      }
      for (const [index, label] of entry.labels.entries()) {
        if (labels.has(label)) wrong(`${label} is there twice, the second time at ${entry.offset}`);
        labels.add(label);
        const after = entry.afters?.[index];
        if (last !== undefined && after !== undefined && after !== last) {
          wrong(`${label} at ${entry.offset} was made for what ends with ${after}, and stands behind ${last}`);
        }
        last = label;
      }
      version = entry.version + entry.labels.length;
    }
  }

  /** A document that was there before never begins as an empty one, whatever Redis has lost. */
  #checkBeginnings(wrong) {
    const known = new Set();
    for (const tree of this.trees) {
      for (const tip of known.size > 0 ? tree.tips : []) {
        const first = tree.pathTo(tip).find(({ label }) => label !== REPLACED);
        // What was put there again was made for an empty one when it was one.
        if (first?.version === 0 && !known.has(first.label)) {
          wrong(`was there before, and ${first.label} was made for an empty one in epoch ${tree.epoch}`);
        }
      }
      for (const { label } of tree.entries.values()) known.add(label);
    }
  }

  /** One text for all processes and clients, which ends as the log does. */
  #checkEverybody(wrong, { documents, members }) {
    const { labels, version } = this.final;
    if (new Set(labels).size < labels.length) wrong('a label stands twice in the end');
    const all = [
      ...documents.map((document, index) => [`process ${index}`, document]),
      ...members.map(({ clientID, document }) => [clientID, document]),
    ];
    for (const [who, document] of all) {
      const other = difference(labels, document?.labels ?? []);
      if (other || document.version !== version) {
        wrong(`${who} is at version ${document?.version} of ${version}: ${other ?? 'the text is the same'}`);
      }
    }
    const begin = this.path.findLastIndex(({ label }) => label === REPLACED);
    const written = this.path.slice(begin + 1).flatMap((entry) => entry.labels);
    const base = begin < 0 ? labels.slice(0, labels.length - written.length) : this.path[begin].labels;
    const other = difference([...base, ...written], labels);
    if (other) wrong(`process 0 ${other}, by the log`);
  }

  /** What the app took is one history, and in the end all of it. */
  #checkSaves(wrong, app) {
    const saves = app.saves.filter(({ documentId, isTaken }) => isTaken && documentId === this.documentId);
    let before = { version: 0, labels: [] };
    for (const save of saves) {
      const isNext = isBeginningOf(before.labels, save.labels) && save.version >= before.version;
      if (!isNext && !this.mayBeGone) {
        wrong(
          `was saved at version ${save.version} with ${show(save.labels)}, after ${before.version} with ${show(before.labels)}`,
        );
      }
      if (!this.hasLost && !isBeginningOf(save.labels, this.final.labels)) {
        wrong(`was saved at version ${save.version} with ${show(save.labels)}, which it never was`);
      }
      if (!this.hasLost && save.labels.length !== save.version) {
        wrong(`was saved at version ${save.version} with ${save.labels.length} steps`);
      }
      before = save;
    }
    const other = difference(this.final.labels, before.labels);
    if (other || before.version !== this.final.version) {
      wrong(`is saved at version ${before.version} of ${this.final.version}: it ${other ?? 'has the same text'}`);
    }
  }

  /** What somebody sent stands once; what was sent to anybody is gone only where Redis lost it, and a process said so. */
  judgeSent(log) {
    const left = new Set(this.final.labels);
    for (const [label, fate] of log.fates) {
      if (fate === 'sent') log.wrong(`${label} is neither acknowledged nor given up`);
      if (fate === 'unpublished' && left.has(label)) log.wrong(`${label} is given up, and stands`);
      if (fate === 'acknowledged' && !left.has(label) && !this.mayLack(label))
        log.wrong(`${label} is acknowledged, and is gone`);
    }
    const mine = this.final.labels.filter((label) => log.fates.has(label));
    const numbers = mine.map((label) => Number(label.split('/')[2]));
    numbers.slice(1).forEach((number, index) => {
      if (number <= numbers[index] && !this.hasLost) log.wrong(`${mine[index + 1]} stands behind ${mine[index]}`);
    });
    return mine.length;
  }

  /** Whether the app has all of it. */
  isSaved(app) {
    const { version } = app.row(this.documentId);
    const last = this.path.at(-1);
    return !last || version === last.version + (last.label === REPLACED ? 0 : last.labels.length);
  }
}
