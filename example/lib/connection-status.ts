import type { FabricClient, FabricStatus } from '@captify-io/hub/client';

/**
 * - `idle`: not asked to connect, or asked to stop.
 * - `connecting`: a socket is on its way; the hub has not said `connected` yet.
 * - `open`: messages travel.
 * - `waiting`: the connection is gone; the next try is at `retryAt`.
 * - `refused`: the hub said no in a way that asking again does not change; `reason` says why.
 */
export type ConnectionPhase = 'idle' | 'connecting' | 'open' | 'waiting' | 'refused';

export interface ConnectionState {
  readonly phase: ConnectionPhase;
  /** `Date.now()` of the next try while `waiting`, else null. */
  readonly retryAt: number | null;
  /** Why the last connection ended, or why something could not be sent; empty while all is well. */
  readonly reason: string;
  /** How the newest connection began: as the first one, with all that was missed, or without. */
  readonly beginning: 'connected' | 'recovered' | 'reload' | null;
  /**
   * Milliseconds from this client to the hub and back; null before the first answer. The least of the last few
   * measurements, since the others tell how busy this page was.
   */
  readonly roundTripMs: number | null;
  /** True once this window has all that there is of the document. */
  readonly synced: boolean;
  /** True from the first time on that it had. Before, what it shows is not the document. */
  readonly loaded: boolean;
}

/** The hub is asked this often for what it always answers, which gives the round trip. */
const PROBE_INTERVAL_MS = 5_000;
/** So many measurements of the round trip are kept. */
const ROUND_TRIPS = 5;

/** What this page shows of its connection. */
export class ConnectionStatus {
  readonly #client: FabricClient;
  readonly #listeners = new Set<() => void>();
  #state: ConnectionState;
  #probe: ReturnType<typeof setInterval> | undefined;
  /** Soon once more: the first answer had to wait for a page that was still starting. */
  #secondProbe: ReturnType<typeof setTimeout> | undefined;
  #probeSentAt: number | null = null;
  #roundTrips: number[] = [];

  constructor(client: FabricClient) {
    this.#client = client;
    const { state, retryAt, code, reason } = client.status;
    this.#state = { phase: 'idle', retryAt, reason, beginning: null, roundTripMs: null, synced: false, loaded: false };
    this.#follow({ state, retryAt, code, reason });
    client.on('status', (status) => this.#follow(status));
    for (const beginning of ['connected', 'recovered', 'reload'] as const) {
      client.on(beginning, () => this.#begin(beginning));
    }
    client.on('message', ({ type }) => type === 'session' && this.#answered());
  }

  setSynced(synced: boolean): void {
    this.#set({ synced, loaded: synced || this.#state.loaded });
  }

  /** Says why something could not be sent; it is shown until the connection is another. */
  setFault(reason: string): void {
    this.#set({ reason });
  }

  /** The same object until something changes: fit for `useSyncExternalStore`. */
  readonly get = (): ConnectionState => this.#state;

  /** Calls `listener` after each change. Returns what ends it. */
  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #follow({ state, retryAt, code, reason }: FabricStatus): void {
    const phase = state !== 'closed' ? state : code === 1000 ? 'idle' : 'refused';
    if (phase !== 'open') this.#stopProbing();
    this.#set({
      phase,
      retryAt,
      reason: phase === 'refused' && reason === '' ? `Closed with ${code}` : reason,
      roundTripMs: null,
    });
  }

  #begin(beginning: ConnectionState['beginning']): void {
    this.#set({ beginning });
    this.#stopProbing();
    this.#probe = setInterval(this.#ask, PROBE_INTERVAL_MS);
    this.#secondProbe = setTimeout(this.#ask, 1_000);
    this.#ask();
  }

  readonly #ask = (): void => {
    this.#probeSentAt ??= performance.now();
    this.#client.send('session');
  };

  #answered(): void {
    if (this.#probeSentAt === null) return;
    this.#roundTrips = [...this.#roundTrips.slice(1 - ROUND_TRIPS), performance.now() - this.#probeSentAt];
    this.#probeSentAt = null;
    this.#set({ roundTripMs: Math.min(...this.#roundTrips) });
  }

  #stopProbing(): void {
    clearInterval(this.#probe);
    clearTimeout(this.#secondProbe);
    this.#probeSentAt = null;
    this.#roundTrips = [];
  }

  #set(change: Partial<ConnectionState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
