// What one client was told and what it sent, as it happened; judged in the end by judge.mjs.
import { labelOf, REPLACED } from './labels.mjs';

export class Log {
  /** Stretches without a reload: `{ epoch, start, session, recoveries, entries: [{ offset, label }] }`. */
  episodes = [];
  /** What became of what was sent, by label: `sent`, `acknowledged`, `unpublished` or `unknown`. */
  fates = new Map();
  /** Counts by close code, and by the reason to reload. */
  closes = {};
  reloads = {};
  wrongs = [];
  /** Counts what cannot be told from each other by the hub: a lineage goes on until the hub has forgotten it. */
  session = 0;
  #count = 0;

  constructor(clientID) {
    this.clientID = clientID;
  }

  get episode() {
    return this.episodes.at(-1);
  }

  wrong(what) {
    this.wrongs.push(`${this.clientID}: ${what}`);
  }

  /** The label of the next message. */
  label() {
    this.#count += 1;
    const label = `${this.clientID}/${this.session}/${this.#count}`;
    this.fates.set(label, 'sent');
    return label;
  }

  closed(code) {
    this.closes[code] = (this.closes[code] ?? 0) + 1;
  }

  began({ epoch, offset }) {
    this.episodes.push({ epoch, start: offset, session: this.session, recoveries: 0, entries: [] });
  }

  recovered(from, to) {
    const last = this.episode.entries.at(-1)?.offset ?? this.episode.start;
    // An acknowledgement may have said that up to there nothing else was for it; the judge knows whether that is true.
    if (from < last) this.wrong(`recovered from ${from}, and had seen ${last}`);
    this.episode.recoveries += 1;
    this.episode.recoveredTo = to;
  }

  reloaded(reason, { certain, labels }) {
    this.told(reason);
    for (const label of labels) this.fates.set(label, certain ? 'unpublished' : 'unknown');
    if (!certain) this.session += 1;
  }

  /** Told to reload, for a reason. */
  told(reason) {
    this.reloads[reason] = (this.reloads[reason] ?? 0) + 1;
  }

  acknowledged(label) {
    if (this.fates.get(label) !== 'sent') this.wrong(`acknowledged ${label}, which is ${this.fates.get(label)}`);
    this.fates.set(label, 'acknowledged');
  }

  received(offset, message) {
    this.episode.entries.push({ offset, label: labelOf(message) });
  }

  /** Of a document of kind `steps`, `more` of which is `version` and `labels`. */
  receivedSteps(offset, message, more) {
    this.episode.entries.push({ offset, label: labelOf(message), toAll: true, ...more });
  }

  /** Told in the middle of a connection that the document goes on as another one. */
  replaced({ reason, offset }) {
    this.told(reason);
    if (offset !== undefined) this.episode.entries.push({ offset, label: REPLACED, toAll: true });
  }
}
