/**
 * `@captify-io/hub/server`: what `server.mjs` imports. Importing it loads the native binary on first use,
 * never at import.
 */
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';

export type { HubError, HubErrorCode } from './index.js';

/** Bad values are refused by {@link createHub} with `HUB_INVALID_ARGUMENT`, whose message names the option. */
export interface HubOptions {
  /**
   * Threads that serve connections; all connections of one document live on one of them. Default: the processors
   * Node sees less one (Node's own), at least 1, at most 8.
   */
  threads?: number;
  /** Longest message a client may send, in bytes; more closes it with 1009. Default 1 MiB, at most 64 MiB. */
  maxMessageBytes?: number;
  /**
   * Bytes that may wait for one connection whose client reads too slowly; more closes it with 1013. Default 4 MiB.
   * The kernel's own send buffer comes on top. At least as large as the largest message you broadcast.
   */
  maxOutboxBytes?: number;
  /**
   * Bytes of messages from one client that may wait for a handler in TypeScript. Above it the hub stops reading that
   * client's socket until some were taken, so that TCP holds the client back. Default 1 MiB, at least 4 KiB. A single
   * message may be larger.
   */
  maxInboxBytes?: number;
  /**
   * How long an upgrade waits at most, in milliseconds, for the app to have registered its handlers when the server
   * starts; then it gets 503. Only with {@link startServer}. Default 10 000.
   */
  registrationTimeoutMs?: number;
  /**
   * Silence of a client after which it is pinged, and after the ping the silence after which it is cut off, in
   * milliseconds. A client that still takes what waits for it is not silent. Default 30 000, at least 10; 0 is off.
   */
  heartbeatIntervalMs?: number;
  /** Deepest nesting of a client's message; more is answered with `TOO_DEEP`. Default 20 000, at least 8. */
  maxDepth?: number;
  /**
   * How long a client may be away and still be given exactly what it missed, in milliseconds. A document is remembered
   * for this long after its last connection has ended. Default 120 000, 50 to 86 400 000; 0 is off: messages then carry
   * no `offset`, and who joins is not shown the cursors of the others.
   */
  recoveryWindowMs?: number;
  /** Messages of one document that are remembered. Default 10 000. */
  historyMaxMessages?: number;
  /**
   * Bytes of one document's messages that are remembered. Default 8 MiB. A client that is closed as slow has missed
   * `maxOutboxBytes` of them at least: with less than that it always has to reload.
   */
  historyMaxBytes?: number;
  /** Bytes that all documents together may take to be remembered. Default 64 MiB. */
  historyTotalBytes?: number;
  /**
   * What the tokens are signed with, by which clients come back: at least 32 bytes, known to nobody else. Default: a key
   * that this process makes for itself, which is enough for one process.
   */
  tokenSecret?: string;
  /**
   * `false` makes Node pipe every socket to the hub through a private loopback connection instead of handing its
   * descriptor over. Slower; the same behaviour. Default `true`, which falls back by itself where there is no plain
   * descriptor (TLS ended in Node, Windows).
   */
  handOver?: boolean;
  /** Least severe message the hub writes to stderr. Default `'warn'`. */
  logLevel?: 'off' | 'error' | 'warn' | 'info' | 'debug';
}

export interface CloseReport {
  /** Connections that had to be cut off because they had not finished the closing handshake in time. */
  terminated: number;
}

/** The one hub of this process. Its calls may be used from any module of the thread that made it. */
export interface Hub {
  /** True for the request target of an upgrade that belongs to the hub: `/ws` and everything below it. */
  owns(url: string | undefined): boolean;
  /**
   * Takes every upgrade of `server` that the hub {@link owns}; others are left to the server's other `'upgrade'`
   * listeners, and refused with 404 where there are none.
   *
   * @returns a function that detaches the hub from the server again.
   */
  attach(server: HttpServer | HttpsServer): () => void;
  /**
   * Takes over one upgraded socket: the arguments of Node's `'upgrade'` event. The socket must not be used afterwards.
   * Never throws: every fault of the request, and a hub that was closed (503), is answered on the wire.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Paths with an endpoint, in the order they were registered; `['/ws/fabric']` at least. */
  readonly paths: readonly string[];
  /**
   * Ends the hub: new upgrades get 503, queues are flushed, every client is closed with 1012 (service restart).
   * Resolves when the last connection is gone or `timeoutMs` (default 5000) has passed, whichever is first. Calling
   * it again returns the same promise. After it a new hub may be created.
   */
  close(options?: { timeoutMs?: number }): Promise<CloseReport>;
}

/**
 * Starts the hub of this process.
 *
 * @throws `HUB_BINARY_MISSING`, `HUB_BINARY_INVALID`, `HUB_INVALID_ARGUMENT`; and `HUB_INVALID_ARGUMENT` while another hub runs.
 */
export function createHub(options?: HubOptions): Hub;

export interface ServerOptions {
  /** The Next app's directory. Default: the working directory. */
  dir?: string;
  /** Development mode. Default: `NODE_ENV` is not `production`. */
  dev?: boolean;
  /** Port to listen on; 0 takes a free one. Default: `PORT`, else 3000. */
  port?: number;
  /** Host name or address to listen on. Default: `HOSTNAME`, else every address of the machine. */
  hostname?: string;
  /** Longest time a shutdown may take, in milliseconds. Default 8000. */
  shutdownTimeoutMs?: number;
  /** More options for `next()`, such as `{ turbopack: true }` or `{ webpack: true }`. */
  next?: Record<string, unknown>;
  /** Options of the hub. */
  hub?: HubOptions;
  /** Where the banner goes. Default: standard output; `false` prints none. */
  banner?: false | ((text: string) => void);
}

export interface RunningServer {
  readonly hub: Hub;
  readonly server: HttpServer;
  /** The port it listens on. */
  readonly port: number;
  /** `http://localhost:3000`, with the port and host it listens on. */
  readonly url: string;
  /** Shuts down as SIGTERM does, without ending the process. */
  close(): Promise<void>;
}

/**
 * The whole of a custom `server.mjs`: starts Next and the hub on one port, prints the banner, tells PM2 `ready`, and
 * shuts down cleanly on SIGINT, SIGTERM and PM2's `shutdown` message. A second signal ends the process at once.
 *
 * @throws `HUB_NEXT_MISSING`, `HUB_LISTEN_FAILED`, and what {@link createHub} throws
 */
export function startServer(options?: ServerOptions): Promise<RunningServer>;
