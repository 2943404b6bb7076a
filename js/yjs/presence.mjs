import { applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import { fromBase64, toBase64 } from './base64.mjs';

/** Each client says this often that it is there. Who is silent for 30 s is taken for gone, by y-protocols. */
const RENEW_AFTER_MS = 15_000;

/**
 * The awareness of a document: sends what this client says of itself, and takes what others say of themselves.
 *
 * What was received is never sent, so a change costs one message however many are there.
 */
export class Presence {
  #host;
  #awareness;
  #isDue = false;

  constructor(host) {
    this.#host = host;
    this.#awareness = host.awareness;
    this.#awareness.on('update', this.#onUpdate);
  }

  /** Client ids of the others that are known. */
  get others() {
    return [...this.#awareness.getStates().keys()].filter((client) => client !== this.#awareness.clientID);
  }

  #onUpdate = ({ removed }, origin) => {
    if (removed.length > 0) this.#host.gone(removed);
    if (origin === 'local') this.announce();
  };

  /** Sends this client's state, once for all that happens meanwhile. */
  announce() {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => this.#say());
  }

  #say() {
    if (!this.#isDue) return;
    this.#isDue = false;
    // Nobody is told what was true before the connection: it begins with an announcement of its own.
    if (this.#host.client.status.state !== 'open') return;
    const { clientID } = this.#awareness;
    const update = toBase64(encodeAwarenessUpdate(this.#awareness, [clientID]));
    if (this.#host.client.send('awareness', { client: clientID, update, ...this.#host.words() })) return;
    this.#host.fault(
      'AWARENESS_TOO_LARGE',
      `An awareness of ${update.length} characters is longer than a message may be`,
    );
  }

  /** A new clock, or those who knew this client before the connection broke would take its state for an old one. */
  open() {
    this.#awareness.setLocalState(this.#awareness.getLocalState());
  }

  hear(update) {
    applyAwarenessUpdate(this.#awareness, fromBase64(update), this.#host);
  }

  /** y-protocols renews by a timer, which a browser slows to a minute in hidden windows; messages are never slowed. */
  renew() {
    const { lastUpdated = 0 } = this.#awareness.meta.get(this.#awareness.clientID) ?? {};
    if (Date.now() - lastUpdated > RENEW_AFTER_MS) this.open();
  }

  /** Without a connection nobody is seen. */
  down() {
    const others = this.others;
    removeAwarenessStates(this.#awareness, others, this.#host);
    // Forget their clocks too: who has not moved since comes back with the same one.
    for (const client of others) this.#awareness.meta.delete(client);
  }

  /** Says goodbye now. */
  leave() {
    const state = this.#awareness.getLocalState();
    this.#awareness.setLocalState(null);
    this.#isDue = true;
    this.#say();
    this.#awareness.off('update', this.#onUpdate);
    // Kept for a page that comes back out of the browser's cache; nobody hears of it before.
    this.#awareness.setLocalState(state);
    this.#awareness.on('update', this.#onUpdate);
  }

  destroy() {
    this.#awareness.off('update', this.#onUpdate);
  }
}
