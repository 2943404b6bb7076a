import * as Y from 'yjs';
import { toBase64 } from './base64.mjs';
import { piecesOf } from './pieces.mjs';
import { deletionOf, splitUpdate } from './split.mjs';

/** Characters of base64 in a message: well below what a hub takes, so that others' messages come in between. */
const LENGTH = 256 * 1024;
const SHORTEST = 1024;

/** Updates on their way to the hub: cut to its measure, and kept while the client takes no more. */
export class Outbound {
  #host;
  #waiting = [];
  #length = LENGTH;

  constructor(host) {
    this.#host = host;
    while (this.#length > SHORTEST && !this.#fits(this.#length)) this.#length >>= 1;
  }

  get length() {
    return this.#waiting.length;
  }

  push(update) {
    const cut = this.#host.client.kind === 'updates' ? this.#split(update) : this.#pieces(update);
    for (const payload of cut) this.#waiting.push(payload);
    this.pump();
  }

  /** Hands on what the client takes. It takes more once something is acknowledged. */
  pump() {
    const refused = this.#waiting.findIndex((payload) => !this.#host.client.send('update', payload));
    this.#waiting.splice(0, refused < 0 ? this.#waiting.length : refused);
  }

  clear() {
    this.#waiting = [];
  }

  #pieces(update) {
    const pieces = piecesOf(toBase64(update), this.#length, this.#host.awareness.clientID);
    if (pieces === null) this.#tooLarge(`An update of ${update.length} bytes is too large for the others`);
    return pieces ?? [];
  }

  /** A log is read by others than this provider, so each of its entries has to be an update of Y.js. */
  #split(update) {
    const fits = (bytes) => this.#fits(4 * Math.ceil(bytes / 3));
    const { updates, removed } = splitUpdate(update, (this.#length * 3) / 4, fits);
    if (removed.length > 0) {
      // Kept here alone, it would have this client's whole future wait for it everywhere else.
      Y.applyUpdate(this.#host.doc, deletionOf(removed), this.#host);
      const bytes = removed.map((value) => value.bytes).join(', ');
      this.#tooLarge(`A value of ${bytes} bytes is longer than a message may be, and was taken out of the document`);
    }
    return updates.map(toBase64);
  }

  #tooLarge(message) {
    this.#host.fault('TOO_LARGE', message);
  }

  #fits(length) {
    // It may carry what makes it a piece, too.
    return this.#host.client.fits('update', 'a'.repeat(length + 128));
  }
}
