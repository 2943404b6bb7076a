/**
 * `@captify-io/hub/agent`: an endpoint that streams an agent's answers to everybody connected to a thread. The README has
 * the wire.
 *
 * Plain JavaScript without a side effect on import, as `@captify-io/hub` is, of which it is apart because of its size.
 */
import type { IncomingMessage } from 'node:http';
import type { Json, WebSocketHandler } from './index.js';

/** What a client asks for, and what its answer may depend on. */
export interface AgentRequest<Data = any> {
  /** The thread of the connection that asked. */
  readonly threadId: string;
  /** `data` of the client's message, as it came: check it before use. */
  readonly data: Data;
  /** `ws.userId` of the connection that asked: the session's user, where the hub has a `session`. */
  readonly userId: string | undefined;
  /** The stream's id, chosen by the client, or by the hub where the client chose none. */
  readonly streamId: string;
  /**
   * Aborted when a client aborts the stream, when the last watcher is gone for {@link AgentOptions.graceMs}, and when
   * the stream fails before its producer has ended. Hand it on to the model.
   */
  readonly signal: AbortSignal;
}

/**
 * An answer, chunk by chunk: strings, JSON values or the UI message chunks of the AI SDK, which are sent as they are.
 * It is read no faster than its watchers take it, within {@link AgentOptions.slowWatcherMs}.
 */
export type AgentAnswer = AsyncIterable<Json> | ReadableStream<any>;

/** Which stream an error was in. `streamId` is undefined for a fault of the connection. */
export interface AgentErrorContext {
  readonly threadId: string | undefined;
  readonly streamId: string | undefined;
  readonly userId: string | undefined;
}

/** Bad values are refused by {@link createAgentHandler} with `HUB_INVALID_ARGUMENT`, whose message names the option. */
export interface AgentOptions<Data = any> {
  /** The endpoint's path, below `/ws/`. Default `/ws/agent`. Handlers with one path share their threads. */
  path?: string;
  /**
   * Answers a client. What it throws ends the stream with `STREAM_FAILED`; the words go to {@link AgentOptions.onError},
   * never to a client.
   */
  onRequest(request: AgentRequest<Data>): AgentAnswer | Promise<AgentAnswer>;
  /**
   * Whether a client may join the thread: see its streams, start and abort them. Anything but `true` closes the
   * connection with 4403; a throw closes it with 1011. Default: everybody may who knows the thread's id.
   */
  authorize?(question: {
    threadId: string;
    userId: string | undefined;
    request: IncomingMessage;
  }): boolean | Promise<boolean>;
  /** Takes the faults of `onRequest` and of its answers. Default: `console.error`. */
  onError?(error: unknown, context: AgentErrorContext): void | Promise<void>;
  /**
   * How long a stream goes on when the last connection of its thread is gone, in all processes, in milliseconds, so that a reload or a cut
   * connection does not end it. Default 30 000; 0 ends it at once, `false` never.
   */
  graceMs?: number | false;
  /** Window in which small pieces of text are sent as one, in milliseconds. Default 25; 0 sends each by itself. At most 1000. */
  rollUpMs?: number;
  /** How long an ended stream can still be recovered, in milliseconds. Default 120 000. */
  keepMs?: number;
  /** Longest time a stream may take, in milliseconds; then it ends with `STREAM_TIMEOUT`. Default 3 600 000. */
  maxStreamMs?: number;
  /** How long a producer that was aborted may go on until it is let go of, in milliseconds. Default 5000. */
  stopMs?: number;
  /**
   * How long a producer waits for a watcher that reads too slowly, in milliseconds. Then the stream goes on without
   * waiting for that one again, which gets the rest from the history as it reads, or `UNRECOVERABLE` when it is too late.
   * Default 5000.
   */
  slowWatcherMs?: number;
  /** Bytes that may wait in a watcher's socket before its stream waits for it. Default 256 KiB. */
  maxBufferedBytes?: number;
  /** Longest message of a chunk, in bytes; more ends the stream with `CHUNK_TOO_LARGE`. Default 1 MiB. Less than the hub's `maxOutboxBytes`. */
  maxChunkBytes?: number;
  /** Longest request that comes in parts, as one with pictures does, in characters; more is `REQUEST_TOO_LARGE`. Default 16 MiB. */
  maxRequestBytes?: number;
  /** What is kept of each stream for those who come back, in bytes of messages. Default 1 MiB. The newest chunk always is. */
  maxHistoryBytes?: number;
  /** The same in chunks. Default 10 000. */
  maxHistoryChunks?: number;
  /** What is kept of all ended streams together, in bytes; the oldest go first. Default 64 MiB. */
  maxKeptBytes?: number;
  /** Ended streams that are kept of one thread. Default 16. */
  maxKeptStreamsPerThread?: number;
  /** Streams of one thread that may run at a time in this process; more are refused with `TOO_MANY_STREAMS`. Default 8. */
  maxStreamsPerThread?: number;
  /** The same for all threads together. Default 1000. */
  maxStreams?: number;
}

/**
 * `code` of an `error` message. One with a `streamId` means that this client gets no more of that stream.
 *
 * - `BAD_JSON`, `BAD_SHAPE`, `UNKNOWN_TYPE`: the message is none that the wire has.
 * - `WRONG_THREAD`: the message names another thread than its connection's.
 * - `UNKNOWN_STREAM`: there is no such stream in the thread, or not any more.
 * - `UNRECOVERABLE`: chunks after the client's `seq` are no longer kept; none of the rest is sent.
 * - `REQUEST_TOO_LARGE`: the request is longer than `maxRequestBytes`, or its parts are not in order.
 * - `TOO_MANY_STREAMS`: the thread, or the process, runs as many as it may.
 * - `STREAM_FAILED`: `onRequest` or its answer failed; the log says how. Over a Redis also: the process that ran it is gone.
 * - `STREAM_TIMEOUT`: the stream took longer than `maxStreamMs`.
 * - `CHUNK_TOO_LARGE`: a chunk was longer than `maxChunkBytes`.
 */
export type AgentErrorCode =
  | 'BAD_JSON'
  | 'BAD_SHAPE'
  | 'UNKNOWN_TYPE'
  | 'WRONG_THREAD'
  | 'UNKNOWN_STREAM'
  | 'UNRECOVERABLE'
  | 'REQUEST_TOO_LARGE'
  | 'TOO_MANY_STREAMS'
  | 'STREAM_FAILED'
  | 'STREAM_TIMEOUT'
  | 'CHUNK_TOO_LARGE';

/** What a client sends, as JSON. `threadId` may be left out. */
export type AgentClientMessage =
  | { type: 'stream'; threadId?: string; streamId?: string; data?: Json }
  | { type: 'part'; threadId?: string; streamId: string; index: number; count: number; text: string }
  | { type: 'abort'; threadId?: string; streamId: string }
  | { type: 'ping'; threadId?: string }
  | { type: 'recover'; threadId?: string; streamId: string; seq: number };

/** What a client gets, as JSON. */
export type AgentServerMessage =
  | {
      type: 'connected';
      threadId: string;
      /** Streams that run, and those that ended lately. Nothing of them is sent before a `recover`. */
      streams: { streamId: string; state: 'running' | 'done' | 'error'; seq: number }[];
    }
  | { type: 'pong'; threadId: string }
  | { type: 'started'; threadId: string; streamId: string }
  | { type: 'chunk'; threadId: string; streamId: string; seq: number; chunk: any }
  | { type: 'done'; threadId: string; streamId: string; seq: number; aborted?: true }
  | {
      type: 'error';
      threadId: string;
      streamId?: string;
      seq?: number;
      code: AgentErrorCode;
      message: string;
    };

/**
 * Makes the handler of an agent endpoint; register it as any other.
 *
 * Threads, running streams and what is kept of ended ones belong to the process and to the path, not to the handler: a
 * handler that replaces another in development goes on with them. Nothing of it survives the process.
 *
 * Over a Redis a stream that runs in one process is followed, recovered and aborted from all.
 *
 * @throws `HUB_INVALID_ARGUMENT`
 */
export function createAgentHandler<Data = any>(options: AgentOptions<Data>): WebSocketHandler;
