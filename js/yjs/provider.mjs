import * as Y from 'yjs';
import { Awareness } from 'y-protocols/awareness';
import { invalid } from '../shared/errors.js';
import { fromBase64 } from './base64.mjs';
import { Emitter } from './emitter.mjs';
import { LogSync } from './log-sync.mjs';
import { Outbound } from './outbound.mjs';
import { Assembly } from './pieces.mjs';
import { Presence } from './presence.mjs';
import { RelaySync } from './relay.mjs';
import { Stock } from './stock.mjs';

/** What the client calls its states, in the words that what is built for Y.js knows. */
const STATUS = { open: 'connected', connecting: 'connecting' };

const SYNCS = { relay: RelaySync, updates: LogSync };

/** A Y.js document over a client of the fabric endpoint. */
export class FabricProvider extends Emitter {
  #doc;
  #client;
  #awareness;
  #ownsAwareness;
  #stock;
  #outbound;
  #presence;
  #assembly = new Assembly();
  /** The way to a whole document, by the kind of it; null until there was a connection. */
  #sync = null;
  /** Whether something was edited here before there was a connection. */
  #isUnsent = false;
  #synced = false;
  #status = '';
  #mayWrite = true;
  /** Whether the page has gone, and may come back out of the browser's cache. */
  #isAway = false;
  #endings = [];
  /** What the parts of the provider see of it. */
  #host;

  constructor(doc, client, options = {}) {
    super();
    const { awareness, connect = true } = checked(doc, client, options);
    this.#doc = doc;
    this.#client = client;
    this.#ownsAwareness = awareness === undefined;
    this.#awareness = awareness ?? ownAwareness(doc);
    this.#host = this.#hostOf(this);
    this.#stock = new Stock(doc);
    this.#isUnsent = Y.getState(doc.store, doc.clientID) > 0;
    this.#outbound = new Outbound(this.#host);
    this.#presence = new Presence(this.#host);
    this.#listen();
    this.#setStatus();
    // It may have been connected before, and then says so to nobody any more.
    if (client.status.state === 'open') this.#begin({});
    else if (connect) client.connect();
  }

  get doc() {
    return this.#doc;
  }

  get client() {
    return this.#client;
  }

  get awareness() {
    return this.#awareness;
  }

  get synced() {
    return this.#synced;
  }

  get status() {
    return this.#status;
  }

  get unacknowledged() {
    return this.#outbound.length + this.#client.unacknowledged;
  }

  connect() {
    this.#client.connect();
  }

  disconnect() {
    this.#presence.leave();
    this.#client.close();
  }

  destroy() {
    if (this.#endings === null) return;
    for (const end of this.#endings) end();
    this.#endings = null;
    this.#presence.leave();
    this.#presence.destroy();
    this.#sync?.down();
    this.#outbound.clear();
    if (this.#ownsAwareness) this.#awareness.destroy();
    this.#synced = false;
    this.emit('destroy');
    this.clear();
  }

  #hostOf(provider) {
    return {
      doc: this.#doc,
      client: this.#client,
      awareness: this.#awareness,
      get others() {
        return provider.#presence.others;
      },
      get mayWrite() {
        return provider.#mayWrite;
      },
      words: () => this.#sync?.words() ?? {},
      gone: (clients) => this.#sync?.gone(clients),
      announce: () => this.#presence.announce(),
      push: (update) => this.#outbound.push(update),
      apply: (update) => this.#apply(update),
      settled: () => this.#setSynced(true),
      fault: (code, message, cause) => this.#fault(code, message, cause),
    };
  }

  #listen() {
    const client = this.#client;
    this.#doc.on('update', this.#onUpdate);
    this.#doc.on('destroy', this.#onDestroy);
    const { addEventListener, removeEventListener } = globalThis;
    addEventListener?.('pagehide', this.#onHide);
    addEventListener?.('pageshow', this.#onShow);
    this.#endings.push(
      client.on('status', () => this.#setStatus()),
      client.on('connected', () => this.#begin({})),
      client.on('recovered', () => this.#begin({ isRecovered: true })),
      client.on('reload', (reload) => this.#reload(reload)),
      client.on('message', (message) => this.#receive(message)),
      client.on('acknowledged', () => this.#outbound.pump()),
      client.on('closed', () => this.#drop()),
      () => this.#doc.off('update', this.#onUpdate),
      () => this.#doc.off('destroy', this.#onDestroy),
      () => removeEventListener?.('pagehide', this.#onHide),
      () => removeEventListener?.('pageshow', this.#onShow),
    );
  }

  // ---- the connection -------------------------------------------------------------------------------------------

  #begin({ isRecovered = false, seen }) {
    const { kind } = this.#client;
    const Sync = SYNCS[kind];
    if (!Sync) return this.#fault('WRONG_KIND', `A document of kind ${kind} has no updates of Y.js`);
    if (!(this.#sync instanceof Sync)) {
      this.#sync?.down();
      this.#sync = new Sync(this.#host, this.#stock);
      if (this.#isUnsent) this.#sync.lost();
      this.#isUnsent = false;
    }
    if (!isRecovered) this.#mayWrite = true; // until the hub says otherwise
    this.#sync.open({ isRecovered, seen });
    this.#presence.open();
  }

  #reload({ unacknowledged, seen }) {
    // Found again by comparing, together with what those who are there have not got either.
    if (unacknowledged.length > 0) this.#sync?.lost();
    this.#drop();
    this.#assembly.clear();
    this.#begin({ seen });
  }

  /** What waits here cannot be sent any more. */
  #drop() {
    if (this.#outbound.length === 0) return;
    this.#outbound.clear();
    this.#sync?.lost();
  }

  #setStatus() {
    const status = STATUS[this.#client.status.state] ?? 'disconnected';
    if (status === this.#status) return;
    const wasOpen = this.#status === STATUS.open;
    this.#status = status;
    if (wasOpen) {
      this.#sync?.down();
      this.#presence.down();
      this.#setSynced(false);
    }
    this.emit('status', { status });
  }

  #setSynced(synced) {
    if (synced === this.#synced) return;
    this.#synced = synced;
    this.emit('synced', synced);
    this.emit('sync', synced);
  }

  // ---- what others do -------------------------------------------------------------------------------------------

  #receive(message) {
    const { type } = message;
    try {
      if (type === 'update') this.#onRemoteUpdate(message);
      else if (type === 'awareness') this.#onAwareness(message.awareness);
      else if (type === 'access') this.#setAccess(message.access);
      else if (type === 'error' && message.code === 'READ_ONLY') this.#refused();
      else this.#sync?.receive?.(message);
    } catch (cause) {
      if (type === 'update' || type === 'state') this.#sync?.unreadable?.();
      this.#fault('UNREADABLE', `A message ${type} could not be read: ${cause?.message ?? cause}`, cause);
    }
    this.#presence.renew();
  }

  #onRemoteUpdate({ clientID, update }) {
    const whole = this.#assembly.add(clientID, update);
    if (whole !== null) this.#apply(fromBase64(whole));
  }

  #apply(update) {
    Y.applyUpdate(this.#doc, update, this);
    this.#sync?.came?.(update);
    this.#sync?.changed();
  }

  #onAwareness(payload) {
    // Of another kind of client, or of its own application.
    if (typeof payload?.update !== 'string' || !Number.isSafeInteger(payload.client)) return;
    this.#presence.hear(payload.update);
    if (payload.client !== this.#awareness.clientID) this.#sync?.hear(payload);
  }

  #setAccess(access) {
    const mayWrite = access === 'write';
    const isBack = mayWrite && !this.#mayWrite;
    this.#mayWrite = mayWrite;
    if (!isBack) return;
    // What was refused meanwhile is found by comparing.
    this.#sync?.lost();
    this.#sync?.open({ isRecovered: false });
  }

  #refused() {
    this.#mayWrite = false;
    this.#outbound.clear();
    this.#sync?.lost();
    this.#fault('READ_ONLY', 'This user may not change the document: the others do not have what was edited here');
  }

  // ---- what happens here ----------------------------------------------------------------------------------------

  #onUpdate = (update, origin) => {
    this.#stock.changed();
    if (origin === this || origin === this.#host) return;
    const isSent = this.#sync !== null && this.#mayWrite && this.#client.status.state !== 'closed';
    if (isSent) this.#outbound.push(update);
    else if (this.#sync) this.#sync.lost();
    else this.#isUnsent = true;
  };

  #onDestroy = () => this.destroy();

  #onHide = () => {
    if (this.#client.status.state === 'closed' || this.#client.status.state === 'idle') return;
    this.#isAway = true;
    this.disconnect();
  };

  #onShow = ({ persisted }) => {
    if (persisted && this.#isAway) this.connect();
    this.#isAway = false;
  };

  #fault(code, message, cause) {
    if (!this.emit('error', { code, message, cause })) console.warn(`${code}: ${message}`);
  }
}

/** By document: the clock of its last awareness. */
const clocks = new WeakMap();

/** Goes on with the clock of an earlier provider on the same document: the others would take a lower one for old. */
function ownAwareness(doc) {
  const awareness = new Awareness(doc);
  const { clientID, meta } = awareness;
  const clock = clocks.get(doc)?.get(clientID)?.clock ?? -1;
  meta.set(clientID, { ...meta.get(clientID), clock: clock + 1 });
  clocks.set(doc, meta);
  return awareness;
}

function checked(doc, client, options) {
  if (typeof doc?.transact !== 'function') invalid('doc must be a document of Y.js');
  if (typeof client?.fits !== 'function') invalid('client must be a FabricClient');
  for (const name in options) if (!['awareness', 'connect'].includes(name)) invalid(`option ${name} is not known`);
  if (options.connect !== undefined && typeof options.connect !== 'boolean')
    invalid('option connect must be a boolean');
  const { awareness } = options;
  if (awareness !== undefined && awareness.doc !== doc) invalid('option awareness must be one of the same document');
  return options;
}
