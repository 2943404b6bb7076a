/**
 * `@captify-io/hub`: what route handlers, `src/instrumentation.ts` and handler files import.
 *
 * Plain JavaScript without a reference to the native binary and without a side effect on import, so it may be
 * bundled, duplicated or hot-reloaded: every copy finds the one hub of the process through a versioned
 * `globalThis` symbol. The hub itself is started by `@captify-io/hub/server`.
 */

import type { IncomingMessage } from 'node:http';
import type { AgentOptions } from './agent.js';
import type { ExtendedWebSocket, RoomMessage } from './sockets.js';

/**
 * A value that comes back from its JSON as it was: texts, finite numbers, booleans, null, and arrays and objects of them;
 * of an object with `toJSON` (a ProseMirror `Step` or a `Date` is one) what that answers. A property that is `undefined`
 * is left out. What `JSON.stringify` would silently make something else is refused with `HUB_INVALID_ARGUMENT` that names
 * the argument: NaN, infinities, functions, symbols, BigInts, `undefined` in an array, typed arrays, Buffers and Blobs,
 * a Map, Set, Error or promise, an invalid Date, and what contains itself.
 *
 * TypeScript has no type for it that takes interfaces and objects with `toJSON`, so it is checked when it is sent.
 */
export type Json = unknown;

/**
 * Stable error codes. `error.code` of every {@link HubError} is one of them; docs/options.md lists what to do for each.
 *
 * - `HUB_NOT_RUNNING`: no hub runs in this process. Start the app by its `server.mjs`, not by `next start`.
 * - `HUB_VERSION_MISMATCH`: the running hub speaks another version of the registry than this copy of the package.
 * - `HUB_INVALID_ARGUMENT`: an argument or option has the wrong type or range; the message names it.
 * - `HUB_CLOSED`: the hub was closed, or is draining, and takes nothing new.
 * - `HUB_OVERLOADED`: more than 64 MiB wait for the threads of a document, endpoint or room to send them; nothing of this message was sent.
 * - `HUB_WRONG_KIND`: the call is none for a document of this kind, such as steps past the authority that orders them.
 * - `HUB_STALE`: the document has gone on since the version that steps were made for; {@link StaleError}.
 * - `HUB_UNKNOWN_VERSION`: the document has never had the version that steps were made for.
 * - `HUB_DOCUMENT_TOO_LARGE`: the document is larger than `documents.maxDocumentBytes`, or takes no more steps until those that it
 *   has were merged, over Redis also nothing that is broadcast beside them until there is a newer snapshot; the log says why there is none.
 * - `HUB_UNAVAILABLE`: the document could not be loaded or stored; the message or the log says why.
 * - `HUB_NO_APPLY`: the call needs the option `documents.apply`.
 * - `HUB_TOO_MANY_ROOMS`: `ws.join` of a connection that is in 1000 rooms. It did not join; have it leave others first.
 * - `HUB_BINARY_MISSING`: no native binary for this platform; the message names the command that builds it.
 * - `HUB_BINARY_INVALID`: a native binary was found but could not be loaded, or is of another version.
 * - `HUB_LISTEN_FAILED`: `startServer` could not listen on the port or host asked for.
 * - `HUB_REDIS`: the hub cannot work over its Redis; the message says what to change.
 * - `HUB_NEXT_MISSING`: `startServer` found no `next` in the app's directory.
 * - `HUB_START_FAILED`: the operating system gave no thread or listener.
 * - `HUB_SOCKET`: a socket could not be taken over (out of descriptors); it was refused with 503. Only in the log.
 * - `HUB_INTERNAL`: a fault of the hub itself; `error.cause` says more.
 */
export type HubErrorCode =
  | 'HUB_NOT_RUNNING'
  | 'HUB_VERSION_MISMATCH'
  | 'HUB_INVALID_ARGUMENT'
  | 'HUB_CLOSED'
  | 'HUB_OVERLOADED'
  | 'HUB_WRONG_KIND'
  | 'HUB_STALE'
  | 'HUB_UNKNOWN_VERSION'
  | 'HUB_DOCUMENT_TOO_LARGE'
  | 'HUB_UNAVAILABLE'
  | 'HUB_NO_APPLY'
  | 'HUB_TOO_MANY_ROOMS'
  | 'HUB_BINARY_MISSING'
  | 'HUB_BINARY_INVALID'
  | 'HUB_LISTEN_FAILED'
  | 'HUB_NEXT_MISSING'
  | 'HUB_START_FAILED'
  | 'HUB_REDIS'
  | 'HUB_SOCKET'
  | 'HUB_INTERNAL';

/** What every call of this package throws or rejects with. Compare `code`, not the class: a bundler may copy it. */
export interface HubError extends Error {
  readonly name: 'HubError';
  readonly code: HubErrorCode;
}

/**
 * Sends `{"type":"steps","steps","clientIDs":["agent", … one a step],"changeId","offset"}` to every connection of a
 * document. Clients that are away get it when they come back within the hub's `recoveryWindowMs`.
 *
 * Here and in every other call an id of a document or client has 1 to 512 bytes of UTF-8 and no control characters, as
 * those who connect must have it; another is refused. `changeId` is any text that is not empty.
 *
 * A document of kind `steps` takes them only with the version that they were made for, and what {@link submitSteps} rejects
 * with: past its authority they would fork it.
 *
 * @returns the number of connections the message was queued for, over a Redis those of all processes: where one does not say how
 *   many it has within a second, those that are known by then. 0 where nobody has the document open.
 * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`, `HUB_CLOSED`, `HUB_OVERLOADED`, `HUB_WRONG_KIND`, over Redis `HUB_UNAVAILABLE` and for a document with
 *   an authority `HUB_DOCUMENT_TOO_LARGE` (as a rejection, never synchronously)
 */
export function broadcastSteps(
  documentId: string,
  steps: readonly Json[],
  changeId: string,
  made?: MadeFor,
): Promise<number>;

/** For which version of a document with an authority steps were made: with it they go through {@link submitSteps}. */
export interface MadeFor {
  version: number;
}

/** What {@link submitSteps} rejects with as `HUB_STALE`. */
export interface StaleError extends HubError {
  readonly code: 'HUB_STALE';
  /** The version of the document. */
  readonly version: number;
  /** When to try again, in milliseconds, where somebody else has the turn until then. */
  readonly retryInMs?: number;
}

/** Steps for one version of a document. */
export interface StepsBatch {
  /** The version they were made for. */
  version: number;
  /** ProseMirror steps, or their JSON: objects with a `stepType`. At least one; the bounds of what clients send are not theirs. */
  steps: readonly Json[];
  /** Whom clients take them to be by. Default `'agent'`. */
  clientID?: string;
  /** Names the change they are part of, to clients. */
  changeId?: string;
}

/**
 * Puts steps into the order of a document of kind `steps`, which is loaded for that where nobody has it open. Everybody who
 * has it open gets them as they get those of clients.
 *
 * @returns the version after them, once they are stored.
 * @throws `HUB_STALE` ({@link StaleError}), `HUB_UNKNOWN_VERSION`, `HUB_WRONG_KIND`, `HUB_DOCUMENT_TOO_LARGE`, `HUB_UNAVAILABLE`,
 *   `HUB_INVALID_ARGUMENT`, `HUB_NOT_RUNNING`, `HUB_CLOSED`
 */
export function submitSteps(documentId: string, batch: StepsBatch): Promise<{ version: number }>;

/**
 * Adds an update to a document of kind `updates`, which is loaded for that where nobody has it open. Resolves once it is stored.
 *
 * @throws `HUB_WRONG_KIND`, `HUB_DOCUMENT_TOO_LARGE`, `HUB_UNAVAILABLE`, `HUB_INVALID_ARGUMENT`, `HUB_NOT_RUNNING`, `HUB_CLOSED`
 */
export function submitUpdate(documentId: string, update: Json, about?: { clientID?: string }): Promise<void>;

/** A document as {@link getDocument} answers it: of kind `updates` with `state`, `offset` and `updates`. */
export interface DocumentContent {
  /** Kind `updates`: all updates merged; without `merge` as it was merged last. */
  state?: any;
  /** Kind `updates`: how many updates it is made of, with `updates`. */
  offset?: number;
  /** Kind `updates`, without `merge`: what came after `state`. */
  updates?: any[];
  /** The document, as the app's `apply` has made it; without that hook as it was loaded or saved last. */
  doc?: any;
  /** The version of it; without `apply` that after `steps`. */
  version?: number;
  /** Without `apply`: the version of `doc`. */
  docVersion?: number;
  /** Without `apply`: what came after `doc`. */
  steps?: any[];
}

/**
 * A document of kind `steps` or `updates` as everybody has it, which is loaded where nobody has it open.
 *
 * @throws `HUB_WRONG_KIND`, `HUB_UNAVAILABLE`, `HUB_INVALID_ARGUMENT`, `HUB_NOT_RUNNING`, `HUB_CLOSED`
 */
export function getDocument(documentId: string): Promise<DocumentContent>;

/**
 * Edits a document: calls `edit` with what it is now and submits the steps that it answers; where somebody else was quicker
 * it is called again, up to 100 times. `edit` answers `null` or no steps for nothing to do.
 *
 * @returns the version after it.
 * @throws `HUB_NO_APPLY`, what {@link getDocument} and {@link submitSteps} reject with, and what `edit` throws
 */
export function editDocument(
  documentId: string,
  edit: (now: { doc: any; version: number }) => readonly Json[] | null | Promise<readonly Json[] | null>,
  about?: { clientID?: string; changeId?: string },
): Promise<{ version: number }>;

/** The message of {@link broadcastSteps}, only to the connections of the document that have this `clientID`. */
export function broadcastStepsToClient(
  documentId: string,
  clientID: string,
  steps: readonly Json[],
  changeId: string,
): Promise<number>;

/** Sends `{"type":"agent-change-pending","change"}` to every connection of a document. Resolves as {@link broadcastSteps}. */
export function broadcastPendingChange(documentId: string, change: Json): Promise<number>;

/** Sends `{"type":"agent-change-accepted","changeId","steps"}` to every connection of a document. Resolves as {@link broadcastSteps}. */
export function broadcastAcceptedChange(documentId: string, changeId: string, steps: readonly Json[]): Promise<number>;

/** Sends `{"type":"agent-change-rejected","changeId"}` to every connection of a document. Resolves as {@link broadcastSteps}. */
export function broadcastRejectedChange(documentId: string, changeId: string): Promise<number>;

/**
 * Open connections of a document, 0 where there is none or no hub runs.
 *
 * Counts what has exactly that name, so what is no string has 0; it never throws.
 *
 * An endpoint's name (`'fabric'`) or path (`'/ws/fabric'`) answers the endpoint's total instead, so a document
 * cannot be counted under these two ids.
 */
export function getConnectionCount(documentIdOrEndpoint: string): number;

/** Ids of the documents with at least one open connection, in no particular order; `[]` where no hub runs. */
export function getConnectedDocuments(): string[];

/** Who is there, over all processes that share a Redis. */
export interface ClusterCounts {
  /** How many processes there are; 1 without `redis`. */
  processes: number;
  /** Open connections of all endpoints. */
  connections: number;
  /** Documents with an open connection, and how many each has. */
  documents: Map<string, number>;
}

/**
 * Counts the connections of all processes that share a Redis; without one those of this process. What is of this process is as of
 * now, what is of the others as they said about a second ago. A process that ends is left out at once, one that dies within
 * 7 s; while Redis is away the others are left out after that time, too.
 *
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED` (as a rejection)
 */
export function clusterCounts(): Promise<ClusterCounts>;

/** One of the processes that share a Redis. */
export interface ProcessInfo {
  /** Names it, as long as it lives. */
  id: string;
  /** The name of its host, as the operating system has it. */
  host: string;
  /** Its process id there. */
  pid: number;
  /** When its hub started, by its own clock. */
  since: Date;
  /** The version of its hub. */
  version: string;
  /** Open connections of all endpoints. */
  connections: number;
  /** Documents with an open connection. */
  documents: number;
}

/**
 * The processes that {@link clusterCounts} counts, this one first.
 *
 * @throws `HUB_NOT_RUNNING`, `HUB_CLOSED` (as a rejection)
 */
export function processes(): Promise<ProcessInfo[]>;

/**
 * Sends a message to every member of a room of a handler's path; see {@link ExtendedWebSocket.join}. It is encoded once, and
 * the hub's threads write it to the members, so that it costs the caller the same for one and for thousands. Calls of one
 * turn leave together at its end; what a member is sent and what is published reaches it in the order of the calls. The
 * call has its effect at once, awaited or not.
 *
 * Over a Redis the members in other processes get it, too: in the order of the calls and at most once, so that one that is cut
 * off misses something. A room whose name begins with U+0000 is the process's own.
 *
 * A member that reads too slowly is closed with 1013 above `maxOutboxBytes`, as by {@link ExtendedWebSocket.send}.
 *
 * @param path the handler's own: `'/ws/yjs/*'` for a beginning
 * @param options.except the `ws` of a handler, which does not get it
 * @returns the number of members of this process it was queued for; 0 where none is in the room
 * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`, `HUB_CLOSED`, `HUB_OVERLOADED` (as a rejection, never synchronously)
 */
export function publish(
  path: string,
  room: string,
  message: RoomMessage,
  options?: { except?: ExtendedWebSocket },
): Promise<number>;

/**
 * Serves the connections of a path from TypeScript. Every callback may be async.
 *
 * A callback that throws or rejects harms no other connection: it is logged with path and connection, and given to
 * `onError`.
 *
 * @typeParam Data what `ws.data` holds
 */
export interface WebSocketHandler<Data = any> {
  /**
   * `/ws` or below it: `'/ws/agent'`. One that ends in `/*` owns every path below: `'/ws/yjs/*'` serves `/ws/yjs/room1`, and
   * {@link ExtendedWebSocket.subpath} is `room1`. The very path goes before a beginning, the longest beginning before
   * others. `/ws/fabric` is the hub's own; see {@link fabricHandler}.
   */
  path: string;
  /**
   * A connection opened. `req` is its upgrade request, with headers, url and `socket.remoteAddress`. Messages wait
   * until it has settled; where it fails, the connection is closed with 1011.
   */
  onConnect(ws: ExtendedWebSocket<Data>, req: IncomingMessage): Promise<void> | void;
  /**
   * A message came: a string for text, a `Buffer` for binary. Called in the order in which a client's messages came,
   * without waiting for the call before to settle, so that an abort can overtake what it aborts.
   */
  onMessage(ws: ExtendedWebSocket<Data>, message: string | Buffer): Promise<void> | void;
  /**
   * The connection has closed; called once, after `onConnect` has settled or 10 s after the close, and also when the
   * process drains. `code` is the client's close code: 1005 where it gave none, 1006 where it left without a word
   * or broke the protocol, also by a code that nobody may send.
   */
  onClose(ws: ExtendedWebSocket<Data>, code: number, reason: Buffer): Promise<void> | void;
  /** A callback of this connection threw or rejected, or a listener or a callback that was given to its `ws`. */
  onError(ws: ExtendedWebSocket<Data>, error: Error): Promise<void> | void;
  /**
   * Chooses among the subprotocols that a client offers, in its order; `false` or one that was not offered takes none, and
   * so does a throw. Without it the first is taken, as npm `ws` does it. Not called where nothing is offered.
   */
  handleProtocols?(protocols: Set<string>, req: IncomingMessage): string | false;
}

/**
 * Registers a handler, in the place of one with the same path: connections that are open keep their sockets and get
 * the new callbacks. Call it from `register()` in `src/instrumentation.ts`; before the hub runs it is kept for it.
 *
 * @throws `HUB_INVALID_ARGUMENT`
 */
export function registerHandler<Data = any>(handler: WebSocketHandler<Data>): void;

/** Registers every handler of a list, or none where one of them is wrong; see {@link registerHandler}. */
export function registerHandlers(handlers: readonly WebSocketHandler[]): void;

/** Stands in a list of handlers for `/ws/fabric`, which the hub serves by itself. Its callbacks are never called. */
export const fabricHandler: Readonly<WebSocketHandler>;

/**
 * Changes what a user may do with a document, on the connections there are; those to come ask the hub's `access` again.
 * The client is told `{"type":"access","access"}`; `false` closes with 4403.
 *
 * @returns the number of connections it was about.
 * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`, `HUB_CLOSED` (as a rejection; also those below)
 */
export function setAccess(
  about: { userId: string; documentId: string },
  access: 'read' | 'write' | false,
): Promise<number>;

/**
 * Closes every connection of a user. It does not keep the user out: that is what `session` and `access` are for.
 *
 * @param code 1000, 1001, 1008, 1012, 1013, or 3000 to 4999. Default 4401, after which a client does not come back.
 * @param reason at most 123 bytes; more is cut. Default `'Unauthorized'`.
 * @returns the number of connections.
 */
export function disconnectUser(userId: string, code?: number, reason?: string): Promise<number>;

/**
 * Asks the hub's `access` again about every connection of a document, once a user, without a request. Where it fails
 * the connection is closed with 1013, to come back and be decided about.
 *
 * @returns the number of connections, once all is decided.
 */
export function recheckAccess(documentId: string): Promise<number>;

/** What {@link renewSession} reads a session from: a `Request`, or Node's `IncomingMessage`. */
export type RequestWithHeaders = {
  readonly headers: { get(name: string): string | null } | Readonly<Record<string, string | string[] | undefined>>;
};

/** A session by name, and its new end: a `Date`, or milliseconds since 1970. */
export type SessionRenewal = { readonly expiresAt: Date | number } & (
  { readonly userId: string; readonly sessionId?: string } | { readonly sessionId: string }
);

/**
 * Lets connections go on when their session was renewed, without a reconnect. From a request the hub's `session` reads
 * who it is and until when, so the new cookie must be on it: renew the cookie first, then ask the route that calls this.
 * Only connections of the same session (of the user, where sessions have no `sessionId`) are renewed, and never to an
 * earlier end.
 *
 * @returns the number of connections whose session lasts longer now; 0 where the request has no session.
 */
export function renewSession(session: RequestWithHeaders | SessionRenewal): Promise<number>;

export {
  connections,
  disconnectConnection,
  documents,
  health,
  inspectDocument,
  metrics,
  metricsText,
  registerMetrics,
  saveDocument,
  securityEvents,
} from './monitoring.js';
export type {
  ConnectionFilter,
  ConnectionInfo,
  DocumentFilter,
  DocumentInfo,
  DocumentInside,
  Health,
  MemberInfo,
  Metric,
  MetricBucket,
  MetricRegister,
  MetricSpread,
  MetricValue,
} from './monitoring.js';
export type { ExtendedWebSocket, RoomMessage, SocketData, SocketEvent } from './sockets.js';
export type { DocumentKind } from './documents.js';
export type { SecurityEvent, SecurityEventCode } from './server.js';

/** The interface captify's own code calls the WebSocket side by. */
export interface WebSocketManager {
  /** See {@link registerHandler}. */
  registerHandler(handler: WebSocketHandler): void;
  /** Open connections of the endpoint at `path` (`'/ws/fabric'`); 0 for a path nobody serves, or where no hub runs. */
  getConnectionCount(path: string): number;
  /**
   * Sends a text message to every connection of the endpoint at `path`, whatever its document. It carries no `offset`:
   * clients that are away do not get it later.
   *
   * @param path `/ws` or below it; another is refused.
   * @param message a string is sent as it is, anything else as its JSON; bytes are refused, and so is a string with half
   *   a surrogate pair, of which UTF-8 has none.
   * @returns the number of connections of this process the message was queued for; 0 where nobody serves the path. Over a Redis
   *   those of other processes get it, too, at most once.
   * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`, `HUB_CLOSED`, `HUB_OVERLOADED` (as a rejection)
   */
  broadcast(path: string, message: Json): Promise<number>;
  /** See {@link publish}. */
  publish: typeof publish;
}

/** A stateless view of the one hub; make as many as you like. */
export function createWebSocketManager(): WebSocketManager;

/**
 * Makes the handler of an agent endpoint.
 *
 * @deprecated Import it, and its types, from `@captify-io/hub/agent`: `import { createAgentHandler } from '@captify-io/hub/agent'`.
 * Here it calls what the hub's process has brought; where there is none, the handler's callbacks throw `HUB_NOT_RUNNING`.
 */
export function createAgentHandler<Data = any>(options: AgentOptions<Data>): WebSocketHandler;

export type {
  AgentAnswer,
  AgentClientMessage,
  AgentErrorCode,
  AgentErrorContext,
  AgentOptions,
  AgentRequest,
  AgentServerMessage,
} from './agent.js';
