/**
 * One document of `/ws/fabric`, through the client that the hub ships, which comes back by itself and says whether it
 * got what it missed. What is added here is what this page shows: the phase in its own words, and the round trip.
 */
import { FabricClient, type FabricMessage, type FabricStatus as ClientStatus } from '@captify-io/hub/client';
import { piecesOf } from './pieces';

export type { FabricMessage };

/** What a client sends; the connection adds `documentId`. */
export type FabricPayload = { type: 'update'; update: string } | { type: 'awareness'; awareness: unknown };

/**
 * - `idle`: not asked to connect, or asked to stop.
 * - `connecting`: a socket is on its way; the hub has not said `connected` yet.
 * - `open`: messages travel.
 * - `waiting`: the connection is gone; the next try is at `retryAt`.
 * - `refused`: the hub said no in a way that asking again does not change; `reason` says why.
 */
export type FabricPhase = 'idle' | 'connecting' | 'open' | 'waiting' | 'refused';

/** How a connection began: as the first one, with all that was missed, or without. */
export type FabricBeginning = 'connected' | 'recovered' | 'reload';

export interface FabricStatus {
  readonly phase: FabricPhase;
  /** `Date.now()` of the next try while `waiting`, else null. */
  readonly retryAt: number | null;
  /** Why the last connection ended, or why a message could not be sent; empty while all is well. */
  readonly reason: string;
  /** How the newest connection began. */
  readonly beginning: FabricBeginning | null;
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
  /** What the client has, for `sync` messages: a Y.js state vector in base64. Default: sent without. */
  stateVector?(): string;
  /** Called when a connection is open, before any message of it. */
  onOpen(beginning: FabricBeginning): void;
  /** Called when a connection that was open is gone. */
  onDown(): void;
  onMessage(message: FabricMessage): void;
  onStatus(status: FabricStatus): void;
}

/** A `sync` is sent this often; its `synced` gives the round trip. */
const PROBE_INTERVAL_MS = 5_000;
/** So many measurements of the round trip are kept. */
const ROUND_TRIPS = 5;

export class FabricConnection {
  readonly #options: FabricConnectionOptions;
  readonly #client: FabricClient;
  #status: FabricStatus = { phase: 'idle', retryAt: null, reason: '', beginning: null, roundTripMs: null };
  #probe: ReturnType<typeof setInterval> | undefined;
  /** Soon once more: the first answer had to wait for a page that was still starting. */
  #secondProbe: ReturnType<typeof setTimeout> | undefined;
  #probeSentAt: number | null = null;
  #roundTrips: number[] = [];
  /** Updates, or pieces of them, that the client does not take before others are acknowledged. */
  #backlog: unknown[] = [];

  constructor(options: FabricConnectionOptions) {
    const { documentId, clientID, url } = options;
    this.#options = options;
    this.#client = new FabricClient({ documentId, clientID, url });
    this.#client.on('status', (status) => this.#follow(status));
    this.#client.on('connected', () => this.#begin('connected'));
    this.#client.on('recovered', () => this.#begin('recovered'));
    // What was not acknowledged is dropped: the difference is found when the windows compare what they have.
    this.#client.on('reload', () => {
      this.#backlog = [];
      this.#begin('reload');
    });
    this.#client.on('acknowledged', () => this.#pump());
    this.#client.on('message', (message) => this.#receive(message));
  }

  get status(): FabricStatus {
    return this.#status;
  }

  /** Connects now, also out of a wait. Does nothing while connecting or open. */
  connect(): void {
    this.#client.connect();
  }

  /** Closes, and stays closed until {@link connect}. What was sent before still leaves. */
  disconnect(): void {
    this.#client.close();
  }

  /** Sends, or keeps for when there is a connection. However large an update is, it leaves in its turn. */
  send(payload: FabricPayload): void {
    if (payload.type === 'awareness') {
      const isTaken = this.#client.send('awareness', payload.awareness);
      if (!isTaken && this.#status.phase !== 'idle') this.#set({ reason: 'A cursor was too large to send' });
      return;
    }
    // Where it is closed nothing is kept: the windows compare what they have when it is open again.
    if (this.#client.status.state === 'closed') return;
    this.#backlog.push(...piecesOf(payload.update));
    this.#pump();
  }

  #pump(): void {
    const taken = this.#backlog.findIndex((update) => !this.#client.send('update', update));
    this.#backlog.splice(0, taken < 0 ? this.#backlog.length : taken);
  }

  #follow({ state, retryAt, code, reason }: ClientStatus): void {
    const wasOpen = this.#status.phase === 'open';
    const phase = state !== 'closed' ? state : code === 1000 ? 'idle' : 'refused';
    const why = phase === 'refused' && reason === '' ? `Closed with ${code}` : reason;
    if (wasOpen) this.#stopProbing();
    if (state === 'closed') this.#backlog = [];
    this.#set({ phase, retryAt, reason: why, roundTripMs: null });
    if (wasOpen) this.#options.onDown();
  }

  #begin(beginning: FabricBeginning): void {
    this.#set({ beginning });
    this.#options.onOpen(beginning);
    this.#probe = setInterval(this.#ask, PROBE_INTERVAL_MS);
    this.#secondProbe = setTimeout(this.#ask, 1_000);
    this.#ask();
  }

  #receive(message: FabricMessage): void {
    if (message.type === 'synced' && this.#probeSentAt !== null) {
      this.#roundTrips = [...this.#roundTrips.slice(1 - ROUND_TRIPS), performance.now() - this.#probeSentAt];
      this.#probeSentAt = null;
      this.#set({ roundTripMs: Math.min(...this.#roundTrips) });
    }
    this.#options.onMessage(message);
  }

  readonly #ask = (): void => {
    this.#probeSentAt ??= performance.now();
    this.#client.send('sync', this.#options.stateVector?.());
  };

  #stopProbing(): void {
    clearInterval(this.#probe);
    clearTimeout(this.#secondProbe);
    this.#probeSentAt = null;
    this.#roundTrips = [];
  }

  #set(change: Partial<FabricStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#options.onStatus(this.#status);
  }
}
