/**
 * `@captify-io/hub`: what route handlers, `src/instrumentation.ts` and handler files import.
 *
 * Plain JavaScript without a reference to the native binary and without a side effect on import, so it may be
 * bundled, duplicated or hot-reloaded: every copy finds the one hub of the process through a versioned
 * `globalThis` symbol. The hub itself is started by `@captify-io/hub/server`.
 */

/** A value `JSON.stringify` can write, or an object with `toJSON` (a ProseMirror `Step` is one). */
export type Json = unknown;

/**
 * Stable error codes. `error.code` of every {@link HubError} is one of them; the README lists what to do for each.
 *
 * - `HUB_NOT_RUNNING`: no hub runs in this process. Start the app by its `server.mjs`, not by `next start`.
 * - `HUB_VERSION_MISMATCH`: the running hub speaks another version of the registry than this copy of the package.
 * - `HUB_INVALID_ARGUMENT`: an argument or option has the wrong type or range; the message names it.
 * - `HUB_CLOSED`: the hub was closed, or is draining, and takes nothing new.
 * - `HUB_OVERLOADED`: more than 64 MiB wait for a document's thread to send them; nothing of this message was sent.
 * - `HUB_BINARY_MISSING`: no native binary for this platform; the message names the command that builds it.
 * - `HUB_BINARY_INVALID`: a native binary was found but could not be loaded, or is of another version.
 * - `HUB_LISTEN_FAILED`: `startServer` could not listen on the port or host asked for.
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
  | 'HUB_BINARY_MISSING'
  | 'HUB_BINARY_INVALID'
  | 'HUB_LISTEN_FAILED'
  | 'HUB_NEXT_MISSING'
  | 'HUB_START_FAILED'
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
 * @returns the number of connections the message was queued for; 0 where nobody has the document open.
 * @throws `HUB_NOT_RUNNING`, `HUB_INVALID_ARGUMENT`, `HUB_CLOSED`, `HUB_OVERLOADED` (as a rejection, never synchronously)
 */
export function broadcastSteps(documentId: string, steps: readonly Json[], changeId: string): Promise<number>;

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
 * An endpoint's name (`'fabric'`) or path (`'/ws/fabric'`) answers the endpoint's total instead, so a document
 * cannot be counted under these two ids.
 */
export function getConnectionCount(documentIdOrEndpoint: string): number;

/** Ids of the documents with at least one open connection, in no particular order; `[]` where no hub runs. */
export function getConnectedDocuments(): string[];

/** The interface captify's own code calls the WebSocket side by. */
export interface WebSocketManager {
  /** Open connections of the endpoint at `path` (`'/ws/fabric'`); 0 for a path nobody serves, or where no hub runs. */
  getConnectionCount(path: string): number;
  /**
   * Sends a text message to every connection of the endpoint at `path`, whatever its document. It carries no `offset`:
   * clients that are away do not get it later.
   *
   * @param message a string is sent as it is, anything else as its JSON.
   * @returns the number of connections the message was queued for.
   */
  broadcast(path: string, message: Json): Promise<number>;
}

/** A stateless view of the one hub; make as many as you like. */
export function createWebSocketManager(): WebSocketManager;
