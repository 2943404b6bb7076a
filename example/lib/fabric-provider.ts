/**
 * A Y.js document over the hub's fabric endpoint. Copy it together with `fabric-connection.ts` and `pieces.ts`.
 *
 * The hub passes messages on and keeps no document, so the windows bring each other up to date. `update` messages
 * carry Y.js updates. `awareness` messages carry the window's own awareness, and when it matters what the window
 * *has*: its state vector, and a digest that tells of deletions, which a state vector does not show.
 *
 * 1. Who connects *asks*, and says what it has. One of those present *answers*: an `update` with what is missing, then
 *    everybody's awareness and what the answerer has. The lowest client id answers at once, the others wait their
 *    turn, 200 ms a place, and stay silent when they see the answer. So there is one answer, not one a window, and a
 *    window that is asleep costs 200 ms.
 * 2. Who was answered sends what the answerer lacks: that is what was typed while the connection was down.
 * 3. Every 15 seconds each window says what it has without asking. Who has more sends it, in the same turns. So
 *    whatever was lost on the way, to a connection that broke or a page that crashed, is made good.
 *
 * Every message may come late, twice or never: updates merge in any order and any number of times, and who gets no
 * answer asks again. A question is repeated in each awareness message until it is answered, because the hub may keep
 * only a sender's newest awareness for a client that reads slowly; updates it never drops.
 */
import { fromBase64, toBase64 } from 'lib0/buffer';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { type FabricBeginning, FabricConnection, type FabricMessage, type FabricStatus } from './fabric-connection';
import { Assembly } from './pieces';

/** What travels in the `awareness` field. All bytes are base64. */
interface AwarenessPayload {
  /** A y-protocols awareness update. */
  update: string;
  /** What the sender has. */
  has?: Holding;
  /** True while the sender wants an answer to `has`. */
  asks?: boolean;
  /** The client, and which `has` of it, that the `update` message before this one was for. */
  answers?: { to: number; id: number };
}

interface Holding {
  /** Counts what one window says it has. */
  id: number;
  stateVector: string;
  /** Of two documents with one state vector it differs if their deletions do. */
  digest: number;
}

export interface ProviderStatus extends FabricStatus {
  /** True once the others have brought this window up to date, or there is nobody who could. */
  readonly synced: boolean;
}

export interface FabricProviderOptions {
  doc: Y.Doc;
  documentId: string;
  /** The endpoint. Default: `/ws/fabric` of the page's own host. */
  url?: string;
}

/** Cursor moves are gathered for this long, since only the newest counts. */
const AWARENESS_DELAY_MS = 40;
/** How long a place in the order of answerers waits for the places before it. */
const TURN_MS = 200;
/** First wait for an answer; it doubles with each question, up to the longest. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_LONGEST_MS = 16_000;
/** Each window says this often that it is there, and what it has. Who is silent for 30 s is taken for gone. */
const RENEW_AFTER_MS = 15_000;
/** A Y.js update that says nothing has this length. */
const EMPTY_UPDATE_LENGTH = 2;

export class FabricProvider {
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly #connection: FabricConnection;
  readonly #statusListeners = new Set<() => void>();
  readonly #messageListeners = new Set<(message: FabricMessage) => void>();
  #status: ProviderStatus;

  /** What this window had when it asked, until it is answered. */
  #question: Holding | null = null;
  /** How often this window has said what it has, and when it last did. */
  #saidCount = 0;
  #saidAt = 0;
  #askTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether anybody has answered since this window last had to ask. */
  #answered = false;
  /** Whether this window had all that was to be had when it last knew. */
  #isWhole = false;
  /** By client: its newest `has` that this window would answer, and the timer of this window's turn. */
  readonly #turns = new Map<number, { id: number; timer: ReturnType<typeof setTimeout> | undefined }>();
  #awarenessTimer: ReturnType<typeof setTimeout> | undefined;
  /** What others have sent in pieces. */
  readonly #assembly = new Assembly();

  constructor({ doc, documentId, url }: FabricProviderOptions) {
    this.doc = doc;
    this.awareness = new Awareness(doc);
    this.#connection = new FabricConnection({
      documentId,
      // The hub stamps this on all that this window sends, so nobody asks or answers in another's name.
      clientID: String(doc.clientID),
      url,
      stateVector: () => toBase64(Y.encodeStateVector(doc)),
      onOpen: (beginning) => this.#onOpen(beginning),
      onDown: () => this.#onDown(),
      onMessage: (message) => this.#onMessage(message),
      onStatus: (status) => this.#setStatus(status),
    });
    this.#status = { ...this.#connection.status, synced: false };
    doc.on('update', this.#onDocumentUpdate);
    this.awareness.on('update', this.#onAwarenessUpdate);
  }

  /** The same object until something changes: fit for `useSyncExternalStore`. */
  readonly getStatus = (): ProviderStatus => this.#status;

  /** Calls `listener` after each change of the status. Returns what ends it. */
  readonly onStatus = (listener: () => void): (() => void) => {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  };

  /** Calls `listener` with every message of the hub, `steps` of route handlers among them. Returns what ends it. */
  onMessage(listener: (message: FabricMessage) => void): () => void {
    this.#messageListeners.add(listener);
    return () => this.#messageListeners.delete(listener);
  }

  /** Connects, or tries again now when it is waiting to. */
  connect(): void {
    this.#connection.connect();
    window.addEventListener('pagehide', this.#leave);
    window.addEventListener('pageshow', this.#comeBack);
  }

  /** Says goodbye to the others and lets go of everything but the document. */
  destroy(): void {
    window.removeEventListener('pagehide', this.#leave);
    window.removeEventListener('pageshow', this.#comeBack);
    this.#leave();
    this.doc.off('update', this.#onDocumentUpdate);
    this.awareness.destroy();
    clearTimeout(this.#awarenessTimer);
    this.#statusListeners.clear();
    this.#messageListeners.clear();
  }

  // ---- what this window does ------------------------------------------------------------------------------------

  readonly #onDocumentUpdate = (update: Uint8Array, origin: unknown): void => {
    // What is typed while the connection is down is kept by the client, or found as the difference after a `reload`.
    if (origin !== this) this.#connection.send({ type: 'update', update: toBase64(update) });
  };

  readonly #onAwarenessUpdate = ({ removed }: { removed: number[] }, origin: unknown): void => {
    for (const client of removed) this.#giveUpTurn(client);
    if (origin !== 'local' || this.#awarenessTimer !== undefined) return;
    this.#awarenessTimer = setTimeout(() => this.#announce(), AWARENESS_DELAY_MS);
  };

  /** Sends this window's awareness; what it has goes along while it asks, and when it is time to say so. */
  #announce({ has, answers }: Pick<AwarenessPayload, 'has' | 'answers'> = {}, clients = [this.doc.clientID]): void {
    clearTimeout(this.#awarenessTimer);
    this.#awarenessTimer = undefined;
    const isTime = Date.now() - this.#saidAt >= RENEW_AFTER_MS;
    const awareness: AwarenessPayload = {
      update: toBase64(encodeAwarenessUpdate(this.awareness, clients)),
      has: this.#question ?? has ?? (isTime ? this.#takeStock() : undefined),
      asks: this.#question !== null,
      answers,
    };
    this.#connection.send({ type: 'awareness', awareness });
  }

  readonly #leave = (): void => {
    const state = this.awareness.getLocalState();
    this.awareness.setLocalState(null);
    this.#announce();
    this.#connection.disconnect();
    // Kept for a page that comes back out of the browser's cache; nobody hears of it before.
    this.awareness.setLocalState(state);
  };

  readonly #comeBack = (event: PageTransitionEvent): void => {
    if (event.persisted) this.#connection.connect();
  };

  // ---- asking ---------------------------------------------------------------------------------------------------

  #onOpen(beginning: FabricBeginning): void {
    // A new clock, or those who knew this window before the connection broke would take the state for an old one.
    this.awareness.setLocalState(this.awareness.getLocalState());
    // Who was up to date and gets all that it missed has nothing to ask.
    if (beginning === 'recovered' && this.#isWhole) this.#settle();
    else {
      this.#answered = false;
      this.#ask(ASK_AGAIN_MS);
    }
  }

  #ask(waitMs: number): void {
    this.#isWhole = false;
    clearTimeout(this.#askTimer);
    this.#question = this.#takeStock();
    this.#announce();
    this.#askTimer = setTimeout(() => {
      if (this.#others().length > 0) this.#ask(Math.min(waitMs * 2, ASK_AGAIN_LONGEST_MS));
      else this.#settle(); // alone, so there is nothing to wait for
    }, waitMs);
  }

  #settle(): void {
    clearTimeout(this.#askTimer);
    this.#question = null;
    this.#isWhole = true;
    this.#setStatus({ synced: true });
  }

  #onDown(): void {
    clearTimeout(this.#askTimer);
    this.#question = null;
    for (const client of [...this.#turns.keys()]) this.#giveUpTurn(client);
    const others = this.#others();
    removeAwarenessStates(this.awareness, others, this);
    // Forget their clocks too: who has not moved since comes back with the same one.
    for (const client of others) this.awareness.meta.delete(client);
    this.#setStatus({ synced: false });
  }

  // ---- hearing --------------------------------------------------------------------------------------------------

  #onMessage(message: FabricMessage): void {
    try {
      if (message.type === 'update') this.#onUpdate(message.clientID, message.update);
      else if (message.type === 'awareness') this.#onAwareness(Number(message.clientID), message.awareness);
    } catch (error) {
      // A message of another kind of client: not ours to understand, and no reason to stop.
      console.warn('A message of the document could not be read', error);
    }
    this.#renew();
    for (const listener of this.#messageListeners) listener(message);
  }

  #onUpdate(from: string, payload: unknown): void {
    const update = this.#assembly.add(from, payload);
    if (update !== null) Y.applyUpdate(this.doc, fromBase64(update), this);
  }

  #onAwareness(from: number, payload: unknown): void {
    if (!isAwarenessPayload(payload)) return;
    const { update, has, asks, answers } = payload;
    applyAwarenessUpdate(this.awareness, fromBase64(update), this);

    const isAnswered = answers?.to === this.doc.clientID;
    if (isAnswered) {
      this.#answered = true;
      this.#settle();
    } else if (answers) {
      this.#giveUpTurn(answers.to, answers.id);
    }
    if (has && (asks || this.#hasMoreThan(has))) this.#takeTurn(from, has, asks === true, isAnswered);

    // Whoever came while this window was alone may bring something.
    if (!this.#answered && this.#question === null) this.#ask(ASK_AGAIN_MS);
  }

  /** `Awareness` renews by a timer, which a browser slows to a minute in hidden windows; messages are never slowed. */
  #renew(): void {
    const renewedAt = this.awareness.meta.get(this.doc.clientID)?.lastUpdated ?? 0;
    if (Date.now() - renewedAt > RENEW_AFTER_MS) this.awareness.setLocalState(this.awareness.getLocalState());
  }

  // ---- answering ------------------------------------------------------------------------------------------------

  /** Answers at once if this window comes first, or is the one to do it; else when nobody before it has. */
  #takeTurn(to: number, has: Holding, asks: boolean, isOurs: boolean): void {
    const known = this.#turns.get(to);
    if (known?.id === has.id) return;
    clearTimeout(known?.timer);
    const before = this.#others().filter((client) => client !== to && client < this.doc.clientID).length;
    // Not by a timer where there is nothing to wait for: a browser slows timers in windows that nobody looks at.
    const isFirst = isOurs || before === 0;
    const timer = isFirst ? undefined : setTimeout(() => this.#answer(to, has, asks), before * TURN_MS);
    this.#turns.set(to, { id: has.id, timer });
    if (isFirst) this.#answer(to, has, asks);
  }

  /** Gives up the turn to answer a client, or only if it is about that `has` of the client. */
  #giveUpTurn(to: number, id?: number): void {
    const turn = this.#turns.get(to);
    if (id !== undefined && turn?.id !== id) return;
    clearTimeout(turn?.timer);
    if (id === undefined) this.#turns.delete(to);
  }

  #answer(to: number, has: Holding, asks: boolean): void {
    const missing = Y.encodeStateAsUpdate(this.doc, fromBase64(has.stateVector));
    if (missing.length > EMPTY_UPDATE_LENGTH) this.#connection.send({ type: 'update', update: toBase64(missing) });
    const answers = { to, id: has.id };
    // Who asks is told who is here and what this window has; others only need to see that it was answered.
    if (asks) this.#announce({ answers, has: this.#takeStock() }, [...this.awareness.getStates().keys()]);
    else this.#announce({ answers });
  }

  // ---- what windows have ----------------------------------------------------------------------------------------

  #takeStock(): Holding {
    this.#saidAt = Date.now();
    const stateVector = toBase64(Y.encodeStateVector(this.doc));
    return { id: ++this.#saidCount, stateVector, digest: this.#digest() };
  }

  /** Whether the other lacks something of this window's. Of two that differ in deletions alone both do. */
  #hasMoreThan(other: Holding): boolean {
    const theirs = Y.decodeStateVector(fromBase64(other.stateVector));
    const ours = Y.decodeStateVector(Y.encodeStateVector(this.doc));
    for (const [client, clock] of ours) if (clock > (theirs.get(client) ?? 0)) return true;
    for (const [client, clock] of theirs) if (clock > (ours.get(client) ?? 0)) return false;
    return other.digest !== this.#digest();
  }

  /** FNV-1a of the document's snapshot, which is its state vector and its deletions in one fixed order. */
  #digest(): number {
    let hash = 0x811c9dc5;
    for (const byte of Y.encodeSnapshot(Y.snapshot(this.doc))) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash >>> 0;
  }

  // ---- small things ---------------------------------------------------------------------------------------------

  /** Client ids of the other windows that are known. */
  #others(): number[] {
    return [...this.awareness.getStates().keys()].filter((client) => client !== this.doc.clientID);
  }

  #setStatus(change: Partial<ProviderStatus>): void {
    this.#status = { ...this.#status, ...change };
    for (const listener of this.#statusListeners) listener();
  }
}

function isAwarenessPayload(value: unknown): value is AwarenessPayload {
  return typeof value === 'object' && value !== null && typeof (value as AwarenessPayload).update === 'string';
}
