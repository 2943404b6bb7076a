/**
 * One WebSocket to a document of `/ws/fabric` that comes back by itself.
 *
 * It knows the hub's envelope and nothing of what is inside, so it serves Yjs, ProseMirror steps or anything else.
 * A restarted server closes with 1012 and a client that read too slowly is closed with 1013: both are normal, and
 * answered by a new connection after a random wait, so that a thousand windows do not come back in one instant.
 */

/** What the hub sends. Payloads of other clients are theirs: check them before use. */
export type FabricMessage =
  | { type: 'connected'; clientID: string; documentId: string }
  | { type: 'synced'; documentId: string }
  | { type: 'update'; documentId: string; update: unknown; clientID: string }
  | { type: 'awareness'; documentId: string; awareness: unknown; clientID: string }
  | { type: 'selection'; documentId: string; selection: unknown; clientID: string }
  | { type: 'steps'; steps: unknown[]; clientIDs: string[]; changeId: string }
  | { type: 'error'; message: string; code?: string };

/** What a client sends; the connection adds `documentId`. */
export type FabricPayload =
  | { type: 'sync'; stateVector?: string }
  | { type: 'update'; update: unknown }
  | { type: 'awareness'; awareness: unknown }
  | { type: 'selection'; selection: unknown }
  | { type: 'steps'; steps: unknown[]; version: number };

/**
 * - `idle`: not asked to connect, or asked to stop.
 * - `connecting`: a socket is on its way; the hub has not said `connected` yet.
 * - `open`: messages travel.
 * - `waiting`: the connection is gone; the next try is at `retryAt`.
 * - `refused`: the hub said no in a way that asking again does not change; `reason` says why.
 */
export type FabricPhase = 'idle' | 'connecting' | 'open' | 'waiting' | 'refused';

export interface FabricStatus {
  readonly phase: FabricPhase;
  /** `Date.now()` of the next try while `waiting`, else null. */
  readonly retryAt: number | null;
  /** Why the last connection ended, or why a message could not be sent; empty while all is well. */
  readonly reason: string;
  /**
   * Milliseconds from this client to the hub and back; null before the first answer. The least of the last few
   * measurements, since the others tell how busy this page was.
   */
  readonly roundTripMs: number | null;
}

export interface FabricConnectionOptions {
  documentId: string;
  /** Names this client to the others and to `broadcastStepsToClient`. */
  clientID: string;
  /** The endpoint. Default: `/ws/fabric` of the page's own host. */
  url?: string;
  /** Longest message to send, in bytes; at most what the hub takes (`maxMessageBytes`). Default 1 MiB. */
  maxMessageBytes?: number;
  /** What the client has, for `sync` messages: a Y.js state vector in base64. Default: sent without. */
  stateVector?(): string;
  /** Called when the hub has said `connected`, before any other message of that connection. */
  onOpen(): void;
  /** Called when a connection that was open is gone. */
  onDown(): void;
  onMessage(message: FabricMessage): void;
  onStatus(status: FabricStatus): void;
}

/** Longest wait from the first packet to the hub's `connected`. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A `sync` is sent this often; its `synced` proves that the connection lives and gives the round trip. */
const PROBE_INTERVAL_MS = 5_000;
/** Without an answer for this long the connection is taken for dead, though the browser may not have noticed. */
const PROBE_TIMEOUT_MS = 12_000;
/** So many measurements of the round trip are kept. */
const ROUND_TRIPS = 5;
/** The n-th wait is random between a tenth of and all of this, doubled n times, up to the longest. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;
/** A connection that lived this long starts the waits from the beginning. */
const STABLE_AFTER_MS = 10_000;

export class FabricConnection {
  readonly #options: FabricConnectionOptions;
  readonly #maxMessageBytes: number;
  #status: FabricStatus = { phase: 'idle', retryAt: null, reason: '', roundTripMs: null };
  #socket: WebSocket | null = null;
  #tries = 0;
  #openedAt = 0;
  #probeSentAt: number | null = null;
  #roundTrips: number[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #probe: ReturnType<typeof setInterval> | undefined;

  constructor(options: FabricConnectionOptions) {
    this.#options = options;
    this.#maxMessageBytes = options.maxMessageBytes ?? 1024 * 1024;
  }

  get status(): FabricStatus {
    return this.#status;
  }

  /** Connects now, also out of a wait. Does nothing while connecting or open. */
  connect(): void {
    if (this.#socket !== null) return;
    clearTimeout(this.#timer);
    this.#listen(true);
    this.#set({ phase: 'connecting', retryAt: null });

    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(0, 'No answer from the server'), CONNECT_TIMEOUT_MS);
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
  }

  /** Closes, and stays closed until {@link connect}. What was sent before still leaves. */
  disconnect(): void {
    clearTimeout(this.#timer);
    this.#listen(false);
    this.#drop();
    this.#set({ phase: 'idle', retryAt: null, reason: '' });
  }

  /** Sends if the connection is open; false if it is not, or the message is longer than the hub takes. */
  send(payload: FabricPayload): boolean {
    if (this.#socket === null || this.#status.phase !== 'open') return false;
    const text = JSON.stringify({ ...payload, documentId: this.#options.documentId });
    if (this.#isTooLong(text)) {
      this.#set({ reason: 'A change was too large to send' });
      return false;
    }
    this.#socket.send(text);
    return true;
  }

  #receive(data: unknown): void {
    let message: FabricMessage;
    try {
      message = JSON.parse(String(data));
    } catch {
      return;
    }
    if (message.type === 'connected') this.#opened();
    if (message.type === 'synced' && this.#probeSentAt !== null) {
      this.#roundTrips = [...this.#roundTrips.slice(1 - ROUND_TRIPS), performance.now() - this.#probeSentAt];
      this.#probeSentAt = null;
      this.#set({ roundTripMs: Math.min(...this.#roundTrips) });
    }
    this.#options.onMessage(message);
  }

  #opened(): void {
    clearTimeout(this.#timer);
    this.#openedAt = performance.now();
    this.#set({ phase: 'open', reason: '', roundTripMs: null });
    this.#options.onOpen();
    this.#probe = setInterval(this.#ask, PROBE_INTERVAL_MS);
    this.#ask();
    // Soon once more: the first answer had to wait for a page that was still starting.
    this.#timer = setTimeout(this.#ask, 1_000);
  }

  /** Sends a probe, or gives the connection up when the last one was never answered. */
  readonly #ask = (): void => {
    if (this.#probeSentAt === null) {
      this.#probeSentAt = performance.now();
      this.send({ type: 'sync', stateVector: this.#options.stateVector?.() });
    } else if (performance.now() - this.#probeSentAt > PROBE_TIMEOUT_MS) {
      this.#lost(0, 'The connection went silent');
    }
  };

  #lost(code: number, reason: string): void {
    clearTimeout(this.#timer);
    if (this.#status.phase === 'open' && performance.now() - this.#openedAt > STABLE_AFTER_MS) this.#tries = 0;
    this.#drop();

    if (isFinal(code)) {
      this.#listen(false);
      this.#set({ phase: 'refused', retryAt: null, reason: reason || `Closed with ${code}` });
      return;
    }
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries);
    const wait = longest * (0.1 + 0.9 * Math.random());
    this.#tries += 1;
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#set({ phase: 'waiting', retryAt: Date.now() + wait, reason: reason || 'The connection was lost' });
  }

  /** Lets go of the socket without waiting for it: on a dead network its close event may take a minute. */
  #drop(): void {
    const socket = this.#socket;
    if (socket === null) return;
    const wasOpen = this.#status.phase === 'open';
    clearInterval(this.#probe);
    this.#probeSentAt = null;
    this.#roundTrips = [];
    this.#socket = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    if (wasOpen) this.#options.onDown();
  }

  /** A network that is back, or a window that is looked at again, is no time to sit out a wait. */
  readonly #hurry = (): void => {
    if (document.visibilityState === 'hidden') return;
    if (this.#status.phase === 'waiting') this.connect();
    else if (this.#status.phase === 'open') this.#ask();
  };

  #listen(on: boolean): void {
    window.removeEventListener('online', this.#hurry);
    document.removeEventListener('visibilitychange', this.#hurry);
    if (!on) return;
    window.addEventListener('online', this.#hurry);
    document.addEventListener('visibilitychange', this.#hurry);
  }

  #address(): string {
    const address = new URL(this.#options.url ?? '/ws/fabric', location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    address.searchParams.set('documentId', this.#options.documentId);
    address.searchParams.set('clientID', this.#options.clientID);
    return address.href;
  }

  /** Bytes are counted only where characters leave room for doubt: one is at most three bytes of UTF-8. */
  #isTooLong(text: string): boolean {
    if (text.length * 3 <= this.#maxMessageBytes) return false;
    return new TextEncoder().encode(text).length > this.#maxMessageBytes;
  }

  #set(change: Partial<FabricStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#options.onStatus(this.#status);
  }
}

/** 1003: bad parameters. 1009: a message the hub does not take. 44xx: no session, or no access to the document. */
function isFinal(code: number): boolean {
  return code === 1003 || code === 1009 || (code >= 4400 && code < 4500);
}
