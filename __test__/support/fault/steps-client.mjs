// An editor of a document with an authority that speaks the wire by hand: it sends steps for the version that it knows, is
// refused where others were quicker, and tries again. Nothing is given up until it stands in the document.
import { labelOfStep, labelsIn, stepFor } from './labels.mjs';
import { WireConnection } from './wire-connection.mjs';

/** Most labels of one batch. */
const MOST = 20;

/** How long it waits before it looks again whether it may write. */
const LOOK_MS = 50;

export class StepsClient extends WireConnection {
  /** The document that it knows: `{ version, labels }`; null until it has been told the whole of it. */
  document = null;
  /** The version that the answer to `sync` leads to; null where nothing is asked for. */
  #target = null;
  #isSyncing = false;
  /** Documents that it has asked for on this connection, and that have not come. */
  #asked = 0;
  /** The version that the last message has refused it at. */
  #refusedAt = 0;
  /** What is sent together, under one number until it stands: `{ id, parts: [{ label, pad }], isSent }`. */
  #batch = null;
  /** `{ label, pad }` that wait for their turn. */
  #waiting = [];
  #lastId = 0;
  #turn;
  /** Whether there was something in the document. */
  #hasSeen = false;

  get unacknowledged() {
    return this.#waiting.length + (this.#batch?.parts.length ?? 0);
  }

  get isWaiting() {
    return this.#batch !== null;
  }

  /** Behind until it has been told the whole document. */
  get offset() {
    return this.#isSyncing ? -1 : super.offset;
  }

  /** @param more `mayWrite`: whether anybody may write to the document now */
  constructor({ mayWrite, ...more }) {
    super(more);
    this.mayWrite = mayWrite;
  }

  send(label, size) {
    this.#waiting.push({ label, pad: 'x'.repeat(size) });
    this.#next();
  }

  end() {
    clearTimeout(this.#turn);
    super.end();
  }

  lost() {
    clearTimeout(this.#turn);
    this.#turn = undefined;
    this.#asked = this.#refusedAt = 0;
    // What was asked for may have come in part.
    if (this.#isSyncing) this.document = null;
    if (this.#batch) this.#batch.isSent = false;
  }

  /** What it has seen may be gone: it takes the document as it is now. */
  reloaded(upTo) {
    this.document = null;
    this.#applied(upTo ?? 0);
    return [];
  }

  opened(upTo) {
    this.#applied(upTo);
    if (this.document === null) this.#sync();
    else this.#next();
  }

  #sync() {
    this.document = null;
    this.#isSyncing = true;
    this.#target = null;
    if (this.#batch) this.#batch.isSent = false;
    this.#asked += 1;
    this.write({ type: 'sync' });
  }

  heard(message) {
    const { type, offset } = message;
    const [is, refusedAt] = [this.document?.version ?? Infinity, this.#refusedAt];
    // Where the connection is closed behind it, nothing was promised any more.
    if (refusedAt > is) this.log.wrong(`was refused at version ${refusedAt}, and was sent everything up to ${is}`);
    this.#refusedAt = 0;
    switch (type) {
      case 'ack':
        this.takeAcknowledged(offset);
        return this.#applied(message.upTo);
      case 'synced':
        this.#target = message.version;
        return this.#settle();
      case 'sync':
        return this.#replace(message);
      case 'steps':
        return this.#steps(message);
      case 'reload':
        // In the middle of a connection: the document goes on as another one.
        if (offset !== undefined) this.takeOffset(offset);
        this.log.replaced(message);
        return this.#sync();
      case 'error':
        return this.#refused(message);
      case 'saved':
      case 'upToDate':
        return;
      default:
        this.log.wrong(`a message ${JSON.stringify(message).slice(0, 300)}`);
    }
  }

  #replace({ doc, version }) {
    if (this.#asked === 0) return this.log.wrong('a document for which it has not asked');
    this.#asked -= 1;
    this.document = { version, labels: labelsIn(doc) };
    const known = new Set(this.document.labels);
    if (this.#batch?.parts.some(({ label }) => known.has(label))) this.#stands(known);
    this.#settle();
  }

  #steps(message) {
    const { version, steps, clientIDs, offset } = message;
    if (clientIDs.length !== steps.length) this.log.wrong(`${steps.length} steps of ${clientIDs.length}`);
    if (offset !== undefined) {
      this.takeOffset(offset);
      this.log.receivedSteps(offset, message, { version, labels: steps.map(labelOfStep) });
    }
    if (this.document === null) return;
    const known = this.document.version - version;
    if (known !== 0 && known < steps.length) {
      this.log.wrong(`steps from ${version} to ${version + steps.length} where it knows ${this.document.version}`);
      return this.#sync();
    }
    if (known > 0) return;
    const labels = steps.map(labelOfStep);
    this.document.version += steps.length;
    this.document.labels.push(...labels);
    this.#hasSeen = true;
    if (this.#batch?.parts.some(({ label }) => labels.includes(label))) this.#stands(new Set(labels));
    this.#settle();
    this.#next();
  }

  /** Its own batch has come back. */
  #stands(labels) {
    if (!this.#batch.parts.every(({ label }) => labels.has(label))) this.log.wrong('a part of a batch stands');
    this.#done();
  }

  /** The hub says that everything up to this number stands; it comes back, or has. */
  #applied(upTo) {
    if (upTo > this.#lastId) this.log.wrong(`acknowledged ${upTo} of ${this.#lastId}`);
    if (this.#batch && this.#batch.id <= upTo) this.#done();
  }

  #done() {
    for (const { label } of this.#batch.parts) this.log.acknowledged(label);
    this.#batch = null;
  }

  #settle() {
    if (!this.#isSyncing || this.#target === null || !this.document || this.document.version < this.#target) return;
    this.#isSyncing = false;
    const isThere = this.document.version > 0;
    if (!isThere && this.#hasSeen) this.log.wrong('was given an empty document where it had seen one');
    this.#hasSeen ||= isThere;
    this.#next();
  }

  #refused({ code, version, retryInMs }) {
    if (code !== 'VERSION_MISMATCH') return this.log.wrong(`was refused: ${code}`);
    // An answer to what was sent before the document was asked for anew.
    if (!this.#batch?.isSent || !this.document) return;
    this.#refusedAt = version;
    this.#batch.isSent = false;
    this.#later(retryInMs ?? 0);
  }

  #later(ms) {
    clearTimeout(this.#turn);
    this.#turn = setTimeout(() => {
      this.#turn = undefined;
      this.#next();
    }, ms);
  }

  #next() {
    if (!this.isOpen || this.#isSyncing || !this.document || this.#batch?.isSent || this.#turn !== undefined) return;
    if (!this.#batch && this.#waiting.length === 0) return;
    if (!this.mayWrite()) return this.#later(LOOK_MS);
    this.#batch ??= { id: ++this.#lastId, parts: this.#waiting.splice(0, MOST) };
    const { version, labels } = this.document;
    let after = labels.at(-1);
    const steps = this.#batch.parts.map(({ label, pad }, index) => {
      const step = stepFor(label, labels.length + index, { after, pad });
      after = label;
      return step;
    });
    this.#batch.isSent = true;
    this.write({ type: 'steps', version, steps, id: this.#batch.id });
  }
}
