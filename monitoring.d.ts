/** What `@captify-io/hub` tells who watches: metrics, health, lists. Its functions are exported by `index.d.ts`. */

import type { DocumentKind } from './documents.js';
import type { SecurityEvent } from './server.js';

/** How values are spread: the count of each bucket includes those before it. */
export interface MetricBucket {
  /** Upper bound, which is part of the bucket; seconds where the metric's name ends in `_seconds`. */
  le: number;
  count: number;
}

/** A value of a counter or a gauge. */
export interface MetricValue {
  labels: Record<string, string>;
  value: number;
}

/** The values of a histogram. */
export interface MetricSpread {
  labels: Record<string, string>;
  count: number;
  sum: number;
  buckets: MetricBucket[];
}

/** A metric; docs/operations.md has them all, with what to do when one is high. */
export type Metric = {
  /** `hub_…`, with its unit. */
  name: string;
  help: string;
} & ({ type: 'counter' | 'gauge'; values: MetricValue[] } | { type: 'histogram'; values: MetricSpread[] });

/**
 * All metrics, as of now. Counters count from the start of the hub, those of refusals and security events from that of the
 * process. Takes under a millisecond, whatever the number of connections.
 *
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED`
 */
export declare function metrics(): Metric[];

/**
 * The same as text for Prometheus (version 0.0.4, `text/plain; version=0.0.4; charset=utf-8`), for a route that whoever may
 * scrape reaches. It can be appended to the text of another registry.
 *
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED`
 */
export declare function metricsText(): string;

/** What {@link registerMetrics} needs of the `Registry` of prom-client 15. */
export interface MetricRegister {
  registerMetric(metric: any): void;
}

/**
 * Puts all metrics into a registry of prom-client, which asks for them at each scrape. To register again is without effect; a hub
 * that is closed has no values, and the next one goes on.
 *
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED`, `HUB_INVALID_ARGUMENT`
 */
export declare function registerMetrics(register: MetricRegister): void;

/** Whether the process lives, and whether more clients should be sent to it. */
export interface Health {
  /** False where a thread of the hub is at one thing for 10 s: then only a new process helps. */
  live: boolean;
  /** False while it starts or ends, where documents cannot be stored or Redis is away, and where there are as many connections as may be. */
  ready: boolean;
  /** Why it is not ready, for people; empty where it is. */
  reasons: string[];
}

/** Never throws: without a hub it is live and not ready. */
export declare function health(): Health;

/** A connection as who watches sees it. */
export interface ConnectionInfo {
  /** Names it among those of this process, for {@link disconnectConnection}. */
  id: string;
  /** The id the client gave itself. */
  clientId?: string;
  /** The path of its endpoint. */
  path: string;
  /** The id of its document. */
  document?: string;
  /** The user's id, where a session says it. */
  userId?: string;
  /** What it may do; missing where there is neither a session nor `access`. */
  access?: 'read' | 'write';
  /** The client's address; empty where nobody knows it. */
  address: string;
  /** Milliseconds since 1970. */
  connectedAt: number;
  /** How long ago its last message came. */
  idleMs: number;
  /** Bytes that wait for its socket. */
  waitingBytes: number;
  /** Whether that is more than a quarter of `maxOutboxBytes`: above all of it the connection is closed. */
  slow: boolean;
}

/** What is listed; all of it must hold. */
export interface ConnectionFilter {
  /** A user's id. */
  user?: string;
  /** A document's id. */
  document?: string;
  /** An address. */
  address?: string;
  /** The path of an endpoint. */
  path?: string;
  slow?: boolean;
  /** Open for at least so long. */
  olderThanMs?: number;
}

/**
 * Open connections of this process. Made when asked, on the hub's threads in slices, so that nothing waits for it, and cut to
 * `limit` there: cheap also with 100,000 connections.
 *
 * @param about `limit` from 1 to 1000, default 100; `sort` says what comes first: the newest (default), the oldest, that for which
 *   most bytes wait, or that which has sent nothing for longest
 * @returns the first of them, and how many there are in all
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED`, `HUB_INVALID_ARGUMENT` (as a rejection; also those below)
 */
export declare function connections(about?: {
  limit?: number;
  sort?: 'newest' | 'oldest' | 'waiting' | 'idle';
  filter?: ConnectionFilter;
}): Promise<{ total: number; connections: ConnectionInfo[] }>;

/** A document as who watches sees it. */
export interface DocumentInfo {
  id: string;
  /** The path of its endpoint. */
  path: string;
  kind: DocumentKind;
  /** `saving` while the app is asked to save it. */
  state: 'loading' | 'live' | 'saving';
  /** Connections that have it open; 0 where it is only remembered, or not saved. */
  members: number;
  /** Bytes that wait for all of them. */
  waitingBytes: number;
  /** The offset of the last publication; missing where nothing is remembered. */
  offset?: number;
  /** The name of the history that the offset is of; missing where nothing is remembered. */
  epoch?: string;
  /** Of a document of kind `steps`. */
  version?: number;
  /** Bytes of what is remembered for who comes back. */
  historyBytes: number;
  /** When the first edit came that the app has not saved, in milliseconds since 1970. */
  unsavedSince?: number;
}

/** What is listed; all of it must hold. Those of members hold where one member has them all. */
export interface DocumentFilter extends Omit<ConnectionFilter, 'path'> {
  /** What the id begins with. */
  document?: string;
  kind?: DocumentKind;
}

/**
 * Documents that somebody has open, that are remembered for who comes back, or that are not saved; made as {@link connections} is.
 *
 * @param about `sort` says what comes first: most members (default), most bytes that wait, most history, unsaved for longest, or by id
 */
export declare function documents(about?: {
  limit?: number;
  sort?: 'members' | 'waiting' | 'history' | 'unsaved' | 'id';
  filter?: DocumentFilter;
}): Promise<{ total: number; documents: DocumentInfo[] }>;

/** A member of a document. */
export interface MemberInfo extends ConnectionInfo {
  /** The offset up to which everything was sent to it, or waits for it; missing where nothing is remembered. */
  position?: number;
}

/** A document with what is in it. */
export interface DocumentInside extends DocumentInfo {
  /** At most 1000 of its members. */
  memberList: MemberInfo[];
  /** How many publications are remembered. */
  historyEntries: number;
  /** What was put aside in the store: when (milliseconds since 1970), why, and how many bytes. Of documents with a store. */
  setAside?: { at: number; reason: string; bytes: number }[];
}

/** A document that is in memory; `null` where it is not. */
export declare function inspectDocument(documentId: string): Promise<DocumentInside | null>;

/**
 * The latest security events, the newest first; the hub keeps 1000. They are handed on to `onSecurityEvent` as ever.
 *
 * @param about `limit` from 1 to 1000, default 100
 * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`
 */
export declare function securityEvents(about?: { limit?: number }): SecurityEvent[];

/**
 * Closes one connection.
 *
 * @param connectionId its `id` in {@link connections}
 * @param code as in `disconnectUser`. Default 4403, after which a client does not come back.
 * @param reason at most 123 bytes; more is cut. Default `'Forbidden'`.
 * @returns whether it was open
 */
export declare function disconnectConnection(connectionId: string, code?: number, reason?: string): Promise<boolean>;

/**
 * Has a document that is in memory saved now.
 *
 * @returns once the app's `save` has answered; `'nothing'` where there was nothing to save
 * @throws `HUB_UNAVAILABLE` where it could not be saved: the message says why, and it is tried again as ever
 */
export declare function saveDocument(documentId: string): Promise<'saved' | 'nothing'>;
