/**
 * `@captify-io/hub/server`: what `server.mjs` imports. Importing it loads the native binary on first use,
 * never at import.
 */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';

import type { DocumentOptions } from './documents.js';
import type { Health, Metric } from './monitoring.js';

export type {
  DocumentKind,
  DocumentOptions,
  LoadedDocument,
  LoadedState,
  StepsToSave,
  UpdatesToSave,
} from './documents.js';
export type { HubError, HubErrorCode } from './index.js';

/** Who is connected. Whatever else it holds is given to {@link HubOptions.access}, so it must have JSON, at most 64 KiB. */
export interface HubUser {
  /** Names the user, in limits and in the calls for route handlers. 1 to 512 bytes. */
  id: string;
  /** Names the session among those of the user, so that it can be renewed without the others. */
  sessionId?: string | null;
  /** When the session ends, as a `Date` or in milliseconds since 1970; the connection is closed with 4401 then. Default: never. */
  expiresAt?: Date | number | null;
  [claim: string]: unknown;
}

/** What a session function sees of a request: Node's own at an upgrade, the headers alone in `renewSession(request)`. */
export type SessionRequest = Pick<IncomingMessage, 'headers' | 'url' | 'method'>;

/** Says who sent a request; `null` for nobody. What it throws lets nobody in: the connection is closed with 1011. */
export type SessionFunction = (request: SessionRequest) => HubUser | null | Promise<HubUser | null>;

export interface AuthJsOptions {
  /**
   * The app's secret, or several while it is being changed: each opens tokens. Default: as Auth.js reads them,
   * `AUTH_SECRET_3`, `_2`, `_1` and `AUTH_SECRET` (else `NEXTAUTH_SECRET`), when a token comes, after Next has loaded
   * `.env`.
   */
  secret?: string | readonly string[];
  /**
   * Names of the session cookie, tried in turn; a cookie's name is part of its key. Default: Auth.js's own
   * `authjs.session-token` and its predecessor's `next-auth.session-token`, each also with `__Secure-`.
   */
  cookieNames?: string | readonly string[];
  /** Makes the user of a token's claims. Default: the claims, with `sub` as `id` and `sessionId` where it is there. */
  user?: (claims: Record<string, unknown>) => HubUser | null;
}

/**
 * Verifies the session cookie of Auth.js v5 (next-auth 5) with the JWT strategy: chunked cookies, `A256CBC-HS512` and
 * `A256GCM`, several secrets, `exp` and `nbf` with 15 s of tolerance. A token is opened by `jose`, as Auth.js does it; the
 * tests hold it against `@auth/core`. How many are read at once is not bounded by `limits.waiting`.
 *
 * @throws `HUB_INVALID_ARGUMENT`; also at start, by `startServer`, where there is no secret
 */
export function authJs(options?: AuthJsOptions): SessionFunction;

/** What is asked about a document. */
export interface AccessRequest {
  /** What the session function answered; `null` where sessions are not used. After `recheckAccess` a copy from JSON. */
  user: HubUser | null;
  documentId: string;
  /** The id that the client gave itself; it proves nothing. */
  clientID: string | undefined;
  /** The path of the endpoint; `undefined` in `recheckAccess`. */
  path: string | undefined;
  /** The upgrade's request; `undefined` in `recheckAccess`. */
  req: IncomingMessage | undefined;
}

/** Each is a whole number from 1, or `false` for none. */
export interface LimitOptions {
  /** Messages of one connection a second, pings included. Default 200. */
  messagesPerSecond?: number | false;
  /** Messages of one connection at once, after a rest. Default 2000. */
  messageBurst?: number;
  /** Bytes of one connection a second. Default 4 MiB. */
  bytesPerSecond?: number | false;
  /** Bytes of one connection at once. Default 64 MiB. */
  byteBurst?: number;
  /** Messages of all connections of one user a second. Default 800. */
  userMessagesPerSecond?: number | false;
  /** Messages of all connections of one user at once. Default 8000. */
  userMessageBurst?: number;
  /** Bytes of all connections of one user a second. Default 16 MiB. */
  userBytesPerSecond?: number | false;
  /** Bytes of all connections of one user at once. Default 256 MiB. */
  userByteBurst?: number;
  /**
   * Steps of all connections of one user a second, in documents of kind `steps`; a connection without a user counts by itself.
   * Default 1000.
   */
  userStepsPerSecond?: number | false;
  /** Steps of all connections of one user at once. Default 20 000. */
  userStepBurst?: number;
  /** How long a client may go on over its rate, held back meanwhile, before it is closed with 1013. Default 10 000. */
  patienceMs?: number;
  /** Connections in all. Default 50 000. */
  connections?: number | false;
  /** Connections of one user. Default 100. */
  connectionsPerUser?: number | false;
  /** Connections of one document. Default 1000. */
  connectionsPerDocument?: number | false;
  /**
   * Connections of one address, or of one /64 where it is IPv6. Default 500. A private or loopback address counts only
   * where a proxy in `trustProxy` named it: otherwise it is most likely a proxy's own, which everybody shares.
   */
  connectionsPerAddress?: number | false;
  /** Documents that one user has open. Default 100. */
  documentsPerUser?: number | false;
  /** Upgrades about which the app is being asked, by `session` or `access`; more are refused with 503. Default 1000. */
  waiting?: number | false;
}

/**
 * What a {@link SecurityEvent} is about; docs/security.md says what each means. `SUPPRESSED` counts what found no place. A later
 * version may have more.
 */
export type SecurityEventCode =
  | 'ACCESS_REFUSED'
  | 'ADMIN_ACTION'
  | 'ADMIN_REFUSED'
  | 'ADMISSION_FAILED'
  | 'ADMISSION_TIMEOUT'
  | 'BAD_FRAME'
  | 'BAD_MESSAGE'
  | 'HEADERS_CUT'
  | 'LIMIT_CONNECTIONS'
  | 'LIMIT_CONNECTIONS_PER_ADDRESS'
  | 'LIMIT_CONNECTIONS_PER_DOCUMENT'
  | 'LIMIT_CONNECTIONS_PER_USER'
  | 'LIMIT_DOCUMENTS_PER_USER'
  | 'LIMIT_WAITING'
  | 'ORIGIN_REFUSED'
  | 'RATE_CLOSED'
  | 'RATE_LIMITED'
  | 'READ_ONLY'
  | 'SESSION_EXPIRED'
  | 'SESSION_FORGED'
  | 'SESSION_MISSING'
  | 'SUPPRESSED'
  | 'TOKEN_REFUSED'
  | 'TOO_SLOW';

/** Something that looks like an attack. It holds no payload and no secret; ids are cut at 128 characters. */
export interface SecurityEvent {
  /** ISO 8601, when it was handed on: at most a second after it happened. */
  time: string;
  code: SecurityEventCode;
  /** How often it happened since the last event like it. */
  count: number;
  /** Who has done it on the admin page, as its `authorize` names them. */
  by?: string;
  user?: string;
  address?: string;
  document?: string;
  origin?: string;
  /** What the origin was compared with: the host that was asked for. */
  host?: string;
  /** What was done on the admin page, and what came of it; which option or header helps where an origin was refused. */
  hint?: string;
}

/** Numbers of the moment, and counts since the process began. */
export interface HubStats {
  /** Open connections of all endpoints. */
  connections: number;
  /** Documents with an open connection. */
  documents: number;
  /** Users with an open connection. */
  users: number;
  /** How often each security event happened, by its code. */
  events: Record<string, number>;
  /** With the option `redis`: whether it is there and every open document has caught up, else why not. */
  redis?: { ready: boolean; reason?: string };
}

/** How several processes reach the Redis that orders their documents: by `url`, by `sentinels` and `name`, or by `cluster`. */
export interface RedisOptions {
  /**
   * `redis://[user:password@]host[:port][/database]`, `unix:///path`, or
   * `redis+sentinel://[user:password@]host[:port],host[:port]/name[/database]`, or
   * `redis+cluster://[user:password@]host[:port],host[:port]`. `rediss` in the place of `redis` is TLS.
   */
  url?: string;
  /** Sentinels, each as `host` or `host:port` (26379), that say who the primary is. Those that do not answer are passed over. */
  sentinels?: readonly string[];
  /** What they call the primary. */
  name?: string;
  /** Some nodes of a Redis Cluster, each as `host` or `host:port` (6379): they know the others. */
  cluster?: readonly string[];
  /** As whom sentinels are spoken to, where they ask. */
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** As whom the server is spoken to. Default: what the URL says, else its default user without a password. */
  username?: string;
  password?: string;
  /** Which of its numbered databases. Default: what the URL says, else 0. */
  database?: number;
  /** Speaks TLS with the server, and with sentinels or all nodes. `true`: whom the system trusts may vouch for it. Default: as the URL says. */
  tls?: boolean | RedisTlsOptions;
  /** What every key and channel begins with. Default `hub:`. */
  prefix?: string;
  /** Longest time for a connection to be made. Default 2000. */
  connectTimeoutMs?: number;
  /** Longest time for an answer; then the connection is taken for lost. Default 2000. */
  commandTimeoutMs?: number;
  /** How long what is published waits for a Redis that is away, before it is refused. Default 5000. */
  waitMs?: number;
}

/** Certificates and keys are PEM, or the path of a file with it, which is read for each connection. */
export interface RedisTlsOptions {
  /** Who may vouch for the server. Default: whom the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name. */
  ca?: string;
  /** The certificate that the hub shows, with those behind it; together with `key`. */
  cert?: string;
  key?: string;
  /** The name in the server's certificate. Default: the host that was connected to. */
  servername?: string;
}

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
  /**
   * Bytes of all documents' messages that are remembered. Default 64 MiB; 0 remembers none. Above it the documents with the
   * longest histories forget their oldest messages. Clients that are away are apart from it, up to 32 MiB.
   */
  historyTotalBytes?: number;
  /**
   * What the tokens are signed with, by which clients come back: at least 32 bytes, known to nobody else. Default: a key in
   * `stateDir`, or one of this process alone; with {@link HubOptions.redis} `HUB_TOKEN_SECRET`.
   */
  tokenSecret?: string;
  /**
   * The folder through which a process that ends as planned leaves to the next one what rooms remember, so that nobody is told
   * to reload. Made where there is none; where it cannot be used, the log says so. `false` is off. Default: `HUB_STATE_DIR`,
   * where it is not `off`; else `.hub` in the app's directory for `startServer` in production, and off otherwise. With
   * `redis` it is off: that remembers by itself.
   */
  stateDir?: string | false;
  /** How long the end may take to tell all clients, in milliseconds, at most 60 000; 0 is at once. Default 2000. */
  drainMs?: number;
  /**
   * A Redis by which several processes order their documents together; its URL, or an object with it. Needs `tokenSecret`, the
   * same in all; takes the place of `documents.store`. Starting waits until it was reached, for some seconds at most, and throws `HUB_REDIS`
   * where it will not do. Default: `HUB_REDIS_URL`, else none; `false`: none. See docs/several-processes.md for what holds.
   */
  redis?: string | RedisOptions | false;
  /**
   * `false` makes Node pipe every socket to the hub through a private loopback connection instead of handing its
   * descriptor over. Slower; the same behaviour. Default `true`, which falls back by itself where there is no plain
   * descriptor (TLS ended in Node, Windows).
   */
  handOver?: boolean;
  /** Least severe message the hub writes to stderr. Default `'warn'`. */
  logLevel?: 'off' | 'error' | 'warn' | 'info' | 'debug';
  /** `'json'` writes the log as lines of JSON, as security events are. Default `'text'`. */
  logFormat?: 'text' | 'json';
  /**
   * Says whose an upgrade is: {@link authJs}, or a function of your own. Nobody: the handshake completes and the hub
   * closes with 4401. Default: everybody is let in, which is said at start.
   */
  session?: SessionFunction;
  /** How long before the end of its session a client is sent `session-expiring`, in milliseconds. Default 60 000. */
  sessionWarningMs?: number;
  /**
   * Says what a user may do with a document. `'read'` receives, syncs and shows awareness; its updates and steps are
   * answered with `READ_ONLY`. `false` is closed with 4403, what it throws with 1011. Asked once for connections of one
   * user to one document that arrive together, so its answer must not rest on `clientID` or `req` alone. Default: everything.
   */
  access?: (request: AccessRequest) => 'write' | 'read' | false | Promise<'write' | 'read' | false>;
  /** Longest time `session` and `access` together may take, in milliseconds; then the connection is closed with 1013. Default 10 000. */
  admissionTimeoutMs?: number;
  /**
   * Whose pages may connect: `'same'` origin, `'any'`, or origins beside the same one, such as `https://app.example` and
   * `https://*.example`, or of apps that are no web pages, such as `capacitor://localhost`. Others get 403. A request without `Origin` comes from no browser and passes. Default `'same'`.
   */
  allowedOrigins?: 'same' | 'any' | readonly string[];
  /**
   * Proxies whose `X-Forwarded-For`, `-Proto` and `-Host` count: addresses, CIDR ranges, `'loopback'` (which
   * has unix-domain sockets in it), `'private'`, `'unix'`. They
   * must overwrite or append these headers. Default `false`: nobody's.
   */
  trustProxy?: false | string | readonly string[];
  /** How much clients may do; `false`, or `HUB_LIMITS=off` in the environment, turns all of it off, which is said at start. */
  limits?: false | LimitOptions;
  /** Documents that have an authority, a store, and are loaded and saved. Default: every document is a relay. */
  documents?: DocumentOptions;
  /** Gets the security events, at most 129 a second. Default: lines of JSON on stderr, unless `logLevel` is `'off'`. */
  onSecurityEvent?: (event: SecurityEvent) => void;
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
   * Answers 426 to a plain request of a path that the hub owns: a proxy has dropped its `Upgrade` header. `startServer` does it.
   *
   * @returns whether it has answered
   */
  request(request: IncomingMessage, response: ServerResponse): boolean;
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
  /** Connections, users, and counts of what was refused. */
  stats(): HubStats;
  /** See `health` of `@captify-io/hub`. */
  health(): Health;
  /** See `metrics` of `@captify-io/hub`. */
  metrics(): Metric[];
  /** See `metricsText` of `@captify-io/hub`. */
  metricsText(): string;
  /** Paths with an endpoint, in the order they were registered; `['/ws/fabric']` at least. */
  readonly paths: readonly string[];
  /**
   * Ends the hub: new upgrades get 503, queues are flushed, every client is closed with 1012 (service restart) within
   * `drainMs`, and what rooms remember is left in `stateDir`. Resolves when the last connection is gone or `timeoutMs`
   * (default 5000) has passed; a client that for a second neither answers nor takes anything is not waited for. Each is told
   * to come back not before `awayMs` (default 0) after the end, when the next process serves. Calling it again returns the
   * same promise. After it a new hub may be created.
   */
  close(options?: { timeoutMs?: number; awayMs?: number }): Promise<CloseReport>;
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
  /** Port to listen on, 0 for a free one, or the path of a unix-domain socket. Default: argument `-p`, else `PORT`, else 3000. */
  port?: number | string;
  /**
   * Host name or address to listen on. Default: argument `-H`, else every address of the machine. The variable `HOSTNAME` is
   * not read, as by `next start`: containers and login shells set it to the machine's own name.
   */
  hostname?: string;
  /**
   * How long a connection without a request is kept open, in milliseconds. Default: argument `--keepAliveTimeout`, else
   * `KEEP_ALIVE_TIMEOUT`, else Node's 5000. Behind a load balancer it must be more than the balancer's own, or some requests are answered with 502.
   */
  keepAliveTimeoutMs?: number;
  /**
   * The command line in which `-p`, `-H`, `--keepAliveTimeout`, `--turbopack` and `--webpack` are looked for, as `next start` and
   * `next dev` take them; others are the app's own. Default: `process.argv.slice(2)`.
   */
  args?: readonly string[];
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
  /** The port it listens on, or the path of its socket. */
  readonly port: number | string;
  /** `http://localhost:3000`, with the port and host it listens on. */
  readonly url: string;
  /** Shuts down as SIGTERM does, without ending the process. */
  close(): Promise<void>;
}

/**
 * The whole of a custom `server.mjs`: starts Next and the hub on one port, prints the banner, tells PM2 `ready`, and
 * shuts down cleanly on SIGINT, SIGTERM, SIGHUP (a closed terminal), SIGQUIT, Ctrl-Break on Windows, PM2's `shutdown` message
 * and, where nobody else listens to it, SIGUSR2 (nodemon): every client is closed with 1012, and the exit code is 0. A second
 * signal, half a second later or more, ends the process at once, and so does one that comes before it serves.
 *
 * @throws `HUB_NEXT_MISSING`, `HUB_LISTEN_FAILED`, and what {@link createHub} throws
 */
export function startServer(options?: ServerOptions): Promise<RunningServer>;
