/**
 * `@captify-io/hub/client`: a client of the fabric endpoint that comes back by itself and says what it missed.
 *
 * Plain JavaScript for browsers and Node, without a dependency. Everything happens on the thread that made it; nothing
 * is kept alive after `close()`.
 */

/**
 * Why the hub did not take a message.
 *
 * - `BAD_JSON`, `BAD_SHAPE`, `UNKNOWN_TYPE`, `TOO_DEEP`: it is none that the wire has.
 * - `WRONG_DOCUMENT`: it names another document than its connection's.
 * - `READ_ONLY`: this user may not change the document.
 * - `RATE_LIMITED`: it was taken, and the next are not read for `retryInMs`.
 */
export type FabricErrorCode =
  | 'BAD_JSON'
  | 'BAD_SHAPE'
  | 'BATCH_TOO_LARGE'
  | 'DOCUMENT_TOO_LARGE'
  | 'HISTORY_GONE'
  | 'READ_ONLY'
  | 'RATE_LIMITED'
  | 'TOO_DEEP'
  | 'TOO_MANY_STEPS'
  | 'UNEXPECTED'
  | 'UNKNOWN_TYPE'
  | 'VERSION_MISMATCH'
  | 'WRONG_CLIENT'
  | 'WRONG_DOCUMENT'
  | 'WRONG_KIND';

/**
 * Why what was missed is not to be had.
 *
 * - `RECOVERY_OFF`: the hub remembers nothing (`recoveryWindowMs` 0).
 * - `OTHER_EPOCH`: the process has restarted, or nobody had the document open for longer than the window.
 * - `TOKEN_EXPIRED`: this client was away for longer than the window, or its place was given up for want of memory.
 * - `HISTORY_GONE`: more was missed than is remembered.
 * - `BAD_TOKEN`, `BAD_OFFSET`: what the client has shown is none of this hub's.
 * - `OFFSETS_OUT_OF_ORDER`: the client found that the hub contradicts itself.
 */
export type FabricReloadReason =
  | 'BAD_OFFSET'
  | 'BAD_TOKEN'
  | 'HISTORY_GONE'
  | 'OFFSETS_OUT_OF_ORDER'
  | 'OTHER_EPOCH'
  | 'RECOVERY_OFF'
  | 'STEPS_SET_ASIDE'
  | 'TOKEN_EXPIRED'
  | 'UNKNOWN_VERSION';

/** What other clients and route handlers send. The payloads are theirs: check them before use. */
export type FabricMessage =
  | { type: 'synced'; documentId: string; version?: number }
  | { type: 'sync'; documentId: string; doc: unknown; version: number }
  | { type: 'upToDate'; version: number }
  | { type: 'state'; documentId: string; state: unknown; offset: number }
  | { type: 'snapshot-wanted'; version?: number; offset?: number }
  | { type: 'saved'; version: number }
  | { type: 'presence'; documentId: string; clientID: string; [field: string]: unknown }
  | { type: 'user_left'; clientID: string; userId?: string }
  | { type: 'update'; documentId: string; update: unknown; clientID: string; offset?: number }
  | { type: 'awareness'; documentId: string; awareness: unknown; clientID: string }
  | { type: 'selection'; documentId: string; selection: unknown; clientID: string }
  | { type: 'steps'; documentId: string; steps: unknown[]; version: number; clientID: string; offset?: number }
  | { type: 'steps'; steps: unknown[]; clientIDs: string[]; changeId: string; offset?: number }
  | {
      type: 'steps';
      documentId: string;
      version: number;
      steps: unknown[];
      clientIDs: string[];
      clientID?: string;
      offset?: number;
    }
  | { type: 'agent-change-pending'; change: unknown; offset?: number }
  | { type: 'agent-change-accepted'; changeId: string; steps: unknown[]; offset?: number }
  | { type: 'agent-change-rejected'; changeId: string; offset?: number }
  | { type: 'session-expiring'; inMs: number }
  | { type: 'session'; expiresInMs: number | null }
  | { type: 'access'; access: 'read' | 'write' }
  | { type: 'error'; message?: string; code?: FabricErrorCode; retryInMs?: number; version?: number; error?: string };

/** An update or steps of this client, as they were sent. */
export type FabricSent =
  | { type: 'update'; documentId: string; update: unknown }
  | { type: 'steps'; documentId: string; steps: readonly unknown[]; version: number };

/** The part of a WebSocket that the client uses; a browser's, Node's own and that of the package `ws` have it. */
export interface WebSocketLike {
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Bad values, and names that are none, are refused with an error whose `code` is `HUB_INVALID_ARGUMENT`. */
export interface FabricClientOptions {
  documentId: string;
  /** Names this client to the others and to `broadcastStepsToClient`. */
  clientID: string;
  /** The endpoint; `http` is taken for `ws`. Default `'/ws/fabric'` of the page's own host; needed whole in Node. */
  url?: string | URL;
  /** What connections are made with. Default: the global one, which browsers and Node from 22 on have. */
  WebSocket?: new (url: string) => WebSocketLike;
  /** Longest wait before the first try to come back, in milliseconds; it doubles with each. Default 1000. */
  firstWaitMs?: number;
  /** Longest wait before any try, in milliseconds. Default 30 000. */
  longestWaitMs?: number;
  /** Longest time the hub may take to answer before the connection is given up, in milliseconds. Default 10 000. */
  answerTimeoutMs?: number;
  /** After so long without a message the hub is asked whether it is there, in milliseconds. Default 20 000. */
  silenceMs?: number;
  /**
   * Shortest time between two messages `awareness`, two `selection`, and two `presence`, in milliseconds: what is sent meanwhile waits,
   * and the newest of it is sent then, or by `close()`. Default 33, so that a mouse costs 30 messages a second.
   */
  showEveryMs?: number;
  /** Longest message to send, in bytes; at most the hub's option of that name. Default 1 MiB. */
  maxMessageBytes?: number;
  /** Bytes of messages that may wait to be sent and acknowledged. Default 4 MiB. */
  maxQueueBytes?: number;
  /** Numbers from 0 to 1, for the waits. Default `Math.random`. */
  random?: () => number;
}

/**
 * - `idle`: `connect()` was not called yet.
 * - `connecting`: a socket is on its way, or the hub has not said yet what was missed.
 * - `open`: messages travel.
 * - `waiting`: the connection is gone; the next try is at `retryAt`.
 * - `closed`: by `close()`, or by the hub in a way that coming back does not change.
 */
export type FabricState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

/** A new object with every change. */
export interface FabricStatus {
  readonly state: FabricState;
  /** `Date.now()` of the next try while `waiting`, else null. */
  readonly retryAt: number | null;
  /** The code the last connection was closed with; 0 while all is well, and where this side gave it up. */
  readonly code: number;
  /** Why the last connection ended; empty while all is well. */
  readonly reason: string;
}

/**
 * What is listened to by `on`. Each connection that gets through begins with one of `connected`, `recovered`
 * and `reload`.
 */
export interface FabricEvents {
  /** A message for this client. */
  message: FabricMessage;
  /** The status is another. */
  status: FabricStatus;
  /** The first connection is open. */
  connected: Record<string, never>;
  /** The client is back; what it missed follows as `message` events, in order, before anything newer. */
  recovered: { from: number; to: number };
  /**
   * The client is back, and what it missed is not to be had: bring the document up to date by other means. What was
   * not acknowledged is not sent again by itself; where `certain`, the hub has published none of it, else it may have.
   * `seen` is the offset up to which everything was seen, where the document still has the same epoch.
   */
  reload: { reason: FabricReloadReason; certain: boolean; unacknowledged: FabricSent[]; seen: number | undefined };
  /** The hub has published more of what was sent; see `unacknowledged`. */
  acknowledged: Record<string, never>;
  /** The client has stopped, by `close()` (1000) or because the hub would not have it; `connect()` starts it again. */
  closed: { code: number; reason: string };
}

export class FabricClient {
  constructor(options: FabricClientOptions);
  readonly documentId: string;
  readonly clientID: string;
  /** The same object until something changes. */
  readonly status: FabricStatus;
  /** How many updates and steps wait to be sent, or to be acknowledged. */
  readonly unacknowledged: number;
  /** What the hub does with the document, as the newest connection was told; `'relay'` before there was one. */
  readonly kind: 'relay' | 'steps' | 'updates';

  /** Connects now, also out of a wait and after `closed`. Does nothing while connecting or open. */
  connect(): void;
  /**
   * Ends the connection, and every timer. What waits to be acknowledged is kept for another `connect()`.
   */
  close(): void;
  /**
   * Sends now, or as soon as there is a connection. Updates and steps are kept until the hub has acknowledged them,
   * and published once however often the connection breaks. Of everything else only the newest is kept
   * while there is no connection, and of `awareness` and `selection` within {@link FabricClientOptions.showEveryMs}, too.
   *
   * An `awareness` must hold this client's own state only. The hub keeps the newest of each sender, for who joins and for
   * who reads slowly, so one about others takes the place of what its sender said of itself. With y-protocols:
   *
   * ```js
   * awareness.on('update', (_, origin) => {
   *   if (origin !== 'local') return; // heard from the others, or found out of date
   *   client.send('awareness', toBase64(encodeAwarenessUpdate(awareness, [awareness.clientID])));
   * });
   * ```
   *
   * @returns false where the message is not taken: the client is closed, the message is too long, or too much waits.
   */
  send(type: 'update' | 'awareness' | 'selection', payload: unknown): boolean;
  send(type: 'steps', steps: readonly unknown[], version: number): boolean;
  /** `offset`: of a document that keeps its updates only those after it are wanted. */
  send(type: 'sync', stateVector?: unknown, offset?: number): boolean;
  /** Answers a hub that has asked for it; forgotten where the connection breaks before. */
  send(type: 'snapshot', offset: number, state: unknown): boolean;
  /** Who is here and where, in a document with an authority; paced as an awareness is. */
  send(type: 'presence', fields: object): boolean;
  /**
   * Sends now or not at all. Nothing is numbered, kept or sent again: of a document with an authority the editor knows
   * which of its steps were accepted, and a batch that was kept here would come again on a version that is gone.
   *
   * @returns false where there is no connection that is open.
   */
  submit(type: 'sync' | 'pullUpdates', fields?: { version?: number }): boolean;
  submit(type: 'steps', fields: { version: number; steps: readonly unknown[] }): boolean;
  submit(type: 'snapshot', fields: { version: number; doc: unknown }): boolean;
  /**
   * Whether such a message is short enough to be sent at all. Ask before a large change goes into the document: what
   * `send` does not take never reaches the others, and what builds on it may not either.
   */
  fits(type: 'update' | 'awareness' | 'selection', payload: unknown): boolean;
  fits(type: 'steps', steps: readonly unknown[], version: number): boolean;
  /** Asks what is left of the session, after it was renewed; answered by a message `session`. */
  send(type: 'session'): boolean;

  /** Calls `listener` with every event of a kind. What it throws is logged. Returns what ends it. */
  on<Event extends keyof FabricEvents>(event: Event, listener: (detail: FabricEvents[Event]) => unknown): () => void;
  off<Event extends keyof FabricEvents>(event: Event, listener: (detail: FabricEvents[Event]) => unknown): void;
}
