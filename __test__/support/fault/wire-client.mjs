// A client of a relay, or of a document that keeps its updates, that speaks the wire by hand and trusts nothing.
import { WireConnection } from './wire-connection.mjs';

export class WireClient extends WireConnection {
  #lastId = 0;
  /** `{ id, label, message }` not acknowledged, oldest first. */
  #unacknowledged = [];

  get unacknowledged() {
    return this.#unacknowledged.length;
  }

  get isWaiting() {
    return this.unacknowledged > 0;
  }

  send(label, size) {
    const id = ++this.#lastId;
    const message = { type: 'update', update: { label, pad: 'x'.repeat(size) }, id };
    this.#unacknowledged.push({ id, label, message });
    if (this.isOpen) this.#write(message);
  }

  #write(message) {
    // Some ask as they go, the others in a message of its own.
    const ack = message.id % 4 === 0;
    this.write(ack ? { ...message, ack } : message);
    if (message.id % 4 === 2) this.write({ type: 'ack' });
  }

  lost() {}

  /** Answers the labels of what may be published or not. */
  reloaded(upTo) {
    this.#acknowledged(upTo ?? 0);
    return this.#unacknowledged.splice(0).map(({ label }) => label);
  }

  opened(upTo) {
    this.#acknowledged(upTo);
    for (const { message } of this.#unacknowledged) this.#write(message);
  }

  heard(message) {
    const { type, offset } = message;
    if (type === 'ack') {
      this.takeAcknowledged(offset);
      return this.#acknowledged(message.upTo);
    }
    if (type === 'awareness' || type === 'synced' || (this.kind === 'updates' && type === 'saved')) {
      if (offset !== undefined && type !== 'saved') this.log.wrong(`${type} with an offset`);
      return;
    }
    if (this.kind === 'updates' && type === 'reload') {
      this.takeOffset(offset);
      return this.log.replaced(message);
    }
    if (type !== 'update' && type !== 'steps') return this.log.wrong(`a message ${JSON.stringify(message)}`);
    this.takeOffset(offset);
    this.log.received(offset, message);
  }

  #acknowledged(upTo) {
    if (upTo > this.#lastId) this.log.wrong(`acknowledged ${upTo} of ${this.#lastId}`);
    while (this.#unacknowledged[0]?.id <= upTo) this.log.acknowledged(this.#unacknowledged.shift().label);
  }
}
