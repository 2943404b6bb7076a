import { fromBase64, toBase64 } from './base64.mjs';

/**
 * Keeps a document whole where the hub keeps its updates: the hub is asked what there is, and says when that was all.
 *
 * What this client has and the hub lacks is found then, by what the hub has said: edits from before the connection, or of
 * a time in which nothing could be sent.
 */
export class LogSync {
  #host;
  #stock;
  #isWhole = false;
  #isAsking = false;
  /** What the hub has said since it was asked for everything; null where nothing needs to be compared. */
  #said = null;
  /** Whether something came that could not be read, so that this document is no measure of what the hub has. */
  #isBroken = false;

  constructor(host, stock) {
    this.#host = host;
    this.#stock = stock;
  }

  /** @param {{ isRecovered: boolean, seen?: number }} how `seen` is the offset up to which everything was seen */
  open({ isRecovered, seen }) {
    if (isRecovered && this.#isWhole) return this.#host.settled();
    const offset = this.#isWhole ? seen : undefined;
    this.#isWhole = this.#isBroken = false;
    this.#isAsking = true;
    this.#said = offset === undefined ? [] : null;
    this.#host.client.send('sync', undefined, offset);
  }

  down() {
    this.#isAsking = false;
    this.#said = null;
  }

  lost() {
    this.#isWhole = false;
  }

  words() {
    return {};
  }

  hear() {}
  gone() {}
  changed() {}

  /** Takes an update that has come, also one that is already there. */
  came(update) {
    this.#said?.push(update);
  }

  /** Something of the hub's could not be read. */
  unreadable() {
    this.#isBroken = true;
  }

  receive({ type, state, offset }) {
    if (type === 'state' && state !== null) this.#host.apply(fromBase64(state));
    else if (type === 'synced' && this.#isAsking) this.#settle();
    else if (type === 'snapshot-wanted') this.#snapshot(offset);
  }

  #settle() {
    const said = this.#said;
    this.#isAsking = false;
    this.#said = null;
    // Not read is not empty.
    if (this.#isBroken) return;
    if (said !== null && this.#host.mayWrite) {
      const missing = said.length > 0 ? this.#stock.missingInUpdates(said) : this.#stock.missingInUpdates([NOTHING]);
      if (missing !== null) this.#host.push(missing);
    }
    this.#isWhole = true;
    this.#host.settled();
  }

  /** Of one who lacks something the hub would take it for everything. */
  #snapshot(offset) {
    if (!this.#isWhole || this.#isBroken || !this.#host.mayWrite) return;
    const state = this.#stock.everything();
    if (this.#host.client.send('snapshot', offset, toBase64(state))) return;
    this.#host.fault('TOO_LARGE', `A snapshot of ${state.length} bytes is longer than a message may be`);
  }
}

/** An update that says nothing. */
const NOTHING = Uint8Array.of(0, 0);
