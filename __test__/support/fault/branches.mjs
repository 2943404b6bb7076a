// What must hold of one document over several processes, from what Redis was told of it, branch by branch.
import { expectedOf, judgeSent } from './judge.mjs';
import { Tree } from './redis-log.mjs';

/** What may have been published how often on a branch, by what its author was told. */
const ALLOWED = {
  /** What was lost with a branch was acknowledged all the same. */
  inTheEnd: { acknowledged: [0, 1], unpublished: [0], unknown: [0, 1], sent: [] },
  elsewhere: { acknowledged: [0, 1], unpublished: [0, 1], unknown: [0, 1], sent: [0, 1] },
};

/** The reasons to reload that there are only where something was lost. */
const LOSSES = ['OTHER_EPOCH', 'BAD_OFFSET', 'UNKNOWN_VERSION', 'STEPS_SET_ASIDE'];

export class Branches {
  /**
   * @param trees of its epochs, as many as there were
   * @param top where it stands in the end: `{ epoch, offset }`
   */
  constructor(documentId, trees, top) {
    Object.assign(this, { documentId, trees, tip: top.offset });
    this.last = trees.find(({ epoch }) => epoch === top.epoch);
    this.path = this.last.pathTo(this.tip);
  }

  get epochs() {
    return this.trees.length;
  }

  /** Ends of what was lost while something before it was not. */
  #lostTips(tree) {
    const { tips } = tree;
    return tree === this.last ? tips.filter((tip) => tip !== this.tip) : tips.slice(0, -1);
  }

  /** Whether Redis has lost something of it. */
  get hasLost() {
    return this.epochs > 1 || this.forks > 0;
  }

  get forks() {
    return this.trees.reduce((sum, tree) => sum + this.#lostTips(tree).length, 0);
  }

  /** How much was published, and how much of that Redis has lost. */
  get count() {
    return this.trees.reduce((sum, { entries }) => sum + entries.size, 0);
  }

  get lostCount() {
    return this.count - this.path.length;
  }

  /** Whether something may be gone that was acknowledged: of a relay what Redis has lost. */
  mayBeGone = false;
  /** What any client was sent. */
  #sent = new Set();

  /** Whether what was acknowledged may be gone: where no client was sent it, no process need have been either. */
  mayLack(label) {
    return this.mayBeGone || (this.hasLost && !this.#sent.has(label));
  }

  lastFor({ clientID, log }) {
    return expectedOf(clientID, log.episode, this.path).at(-1)?.offset ?? 0;
  }

  /** What of a client's stretch was published: on the branch on which it was, or on the one that is left. */
  publishedIn(episode, isLast) {
    if (isLast) return episode.epoch === this.last.epoch ? this.path : undefined;
    const tree = this.trees.find(({ epoch }) => epoch === episode.epoch);
    return tree?.pathTo(episode.entries.at(-1)?.offset ?? episode.start);
  }

  /**
   * What Redis may have lost, and whom that may have cost a reload.
   *
   * @param about `members`: the clients; `losses`: how often Redis may have lost its `memories`,
   *   or `tails` of documents; `lost`: how often each process said that of each
   *   document something was lost
   */
  check(wrong, { members, losses, lost }) {
    const logs = members.map(({ log }) => log);
    const entries = logs.flatMap(({ episodes }) => episodes.flatMap((episode) => episode.entries));
    this.#sent = new Set(entries.flatMap(({ label, labels = [label] }) => labels));
    this.#adopt(logs, wrong);
    const { memories, tails } = losses;
    if (this.epochs > 1 + memories + tails) wrong(`was begun anew ${this.epochs - 1} times`);
    if (this.forks > memories + tails) wrong(`has lost something ${this.forks} times`);
    // Where nothing of a document was lost no process may say so, and no client reload for it.
    const mayHaveLost = this.epochs - 1 + this.forks;
    this.mayBeGone = this.hasLost;
    for (const counts of lost) {
      const said = counts.get(this.documentId) ?? 0;
      if (said > mayHaveLost)
        wrong(`a process said ${said} times that something was lost, which was ${mayHaveLost} times`);
    }
    if (mayHaveLost > 0) return;
    for (const log of logs) {
      const said = LOSSES.reduce((sum, reason) => sum + (log.reloads[reason] ?? 0), 0);
      if (said > 0) log.wrong('had to reload, and nothing was lost');
    }
  }

  /** What was published when Redis was killed may have reached a process, and not this test. */
  #adopt(logs, wrong) {
    for (const log of logs) {
      for (const { epoch, start, entries } of log.episodes) {
        const tree = this.trees.find((each) => each.epoch === epoch);
        if (!tree) {
          // Redis may have lost it before anything was published that this test could have heard it by.
          if (start === 0 && entries.length === 0) this.trees.unshift(new Tree(epoch));
          continue;
        }
        for (const entry of entries) {
          const known = tree.entries.get(entry.offset);
          if (!known) tree.adopt(entry);
          else if (known.label !== entry.label)
            wrong(`${entry.offset} is ${known.label}, and ${entry.label} to a client`);
        }
      }
    }
  }

  /** Every way from a beginning to an end. */
  ways() {
    const lost = this.trees.flatMap((tree) => tree.tips.map((tip) => ({ path: tree.pathTo(tip), isLeft: false })));
    return [{ path: this.path, isLeft: true }, ...lost];
  }

  /** What of a way was published by whoever sent it. */
  firstIn(path) {
    return path;
  }

  /** The labels that are there in the end. */
  get left() {
    return new Set(this.path.map(({ label }) => label));
  }

  /** Whether what somebody sent stands where it was told; answers how much of it stands in the end. */
  judgeSent(log) {
    for (const { path, isLeft } of this.ways()) {
      judgeSent(log, this.firstIn(path), isLeft ? ALLOWED.inTheEnd : ALLOWED.elsewhere);
    }
    const labels = new Set(this.trees.flatMap(({ entries }) => [...entries.values()].map(({ label }) => label)));
    for (const [label, fate] of log.fates) {
      if (fate === 'acknowledged' && !labels.has(label)) log.wrong(`${label} is acknowledged, and was never published`);
    }
    const { left } = this;
    for (const [label, fate] of log.fates) {
      if (fate === 'acknowledged' && !left.has(label) && !this.mayLack(label))
        log.wrong(`${label} is acknowledged, and is gone`);
    }
    return [...log.fates.keys()].filter((label) => left.has(label)).length;
  }

  /** The same of what route handlers published. */
  judgeHandlers(wrong, fates) {
    const mine = [...fates].filter(([label]) => label.startsWith(`agent-${this.documentId}-`));
    for (const process of new Set(mine.map(([label]) => label.split('/')[0]))) {
      const some = new Map(mine.filter(([label]) => label.split('/')[0] === process));
      this.judgeSent({ fates: some, wrong });
    }
  }

  /** Whether the app has all of it: a relay has nothing to save. */
  isSaved() {
    return true;
  }
}
