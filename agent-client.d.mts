/**
 * `@captify-io/hub/agent-client`: a chat transport for `useChat` of the AI SDK (5 and later) over an agent endpoint. For browsers,
 * and without a dependency: of `ai` only the types are used.
 */
import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import type { AgentErrorCode } from './agent.js';

export interface AgentChatTransportOptions<UI_MESSAGE extends UIMessage = UIMessage> {
  /** The endpoint, absolute or relative to the page. Default `/ws/agent`. The thread is the chat's id. */
  url?: string | URL;
  /**
   * What `onRequest` gets as `data`. Default: `{ ...body, id: chatId, messages, trigger, messageId, metadata }`, as the
   * AI SDK's own transport posts it. Headers cannot be sent over a WebSocket.
   */
  prepareData?(request: {
    chatId: string;
    messages: UI_MESSAGE[];
    trigger: 'submit-message' | 'regenerate-message';
    messageId: string | undefined;
    body: object | undefined;
    metadata: unknown;
  }): unknown;
  /**
   * Where the id of the stream being read is remembered, so that one which ends during a reload is still recovered.
   * Default: `sessionStorage`; `null` remembers nothing.
   */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  /** How long a socket nobody reads from stays open, in milliseconds. Default 10 000. */
  idleMs?: number;
  /** How long an answer that has begun waits for a server that cannot be reached, in milliseconds. Default 120 000. */
  giveUpMs?: number;
  /** The same for a question the server has not taken yet, and for resuming. Default 20 000. */
  unansweredMs?: number;
  /** Longest time the server may take to answer before the connection is given up, in milliseconds. Default 10 000. */
  answerTimeoutMs?: number;
  /** After so long without a message the server is asked whether it is there, in milliseconds. Default 20 000. */
  silenceMs?: number;
  /** Longest question, in bytes; a longer one fails with `MESSAGE_TOO_LARGE`. At most what the server takes. Default 16 MiB. */
  maxMessageBytes?: number;
  /**
   * Longest wait between two tries, in milliseconds. Default 15 000. The first is at most 500, each is random between a
   * tenth of it and all of it, and the next may be twice as long.
   */
  longestRetryMs?: number;
  /** The WebSocket to use. Default: `globalThis.WebSocket`, which Node has from 22 on. */
  WebSocket?: new (url: string) => any;
}

/**
 * Reads streams of an agent endpoint, over one socket a chat.
 *
 * A cut connection is no end of a stream: the transport comes back with the last chunk it has and reads on, after close
 * codes such as 1001, 1006, 1011, 1012 and 1013, and it stops after 1002, 1003, 1007, 1008, 1009 and 44xx. Its streams
 * fail with an {@link AgentError}.
 */
export class AgentChatTransport<UI_MESSAGE extends UIMessage = UIMessage> implements ChatTransport<UI_MESSAGE> {
  constructor(options?: AgentChatTransportOptions<UI_MESSAGE>);
  /** Starts a stream. Aborting the signal ends it on the server, for everybody; cancelling the stream only stops reading. */
  sendMessages(
    options: Parameters<ChatTransport<UI_MESSAGE>['sendMessages']>[0],
  ): Promise<ReadableStream<UIMessageChunk>>;
  /**
   * Reads a stream of the chat from its start: the one this window was reading when it was reloaded, also if it ended
   * meanwhile, or else the newest that runs. `null` where there is none.
   */
  reconnectToStream(
    options: Parameters<ChatTransport<UI_MESSAGE>['reconnectToStream']>[0],
  ): Promise<ReadableStream<UIMessageChunk> | null>;
  /** Closes all sockets; streams that are being read fail with `CLOSED`, and go on on the server as after any cut. */
  close(): void;
}

export type AgentTransportErrorCode = AgentErrorCode | 'CLOSED' | 'UNREACHABLE' | 'MESSAGE_TOO_LARGE';

/**
 * What a stream of the transport fails with. `code` is one of the wire's (`STREAM_FAILED`, `UNRECOVERABLE`, …),
 * `UNKNOWN_STREAM` also where the server restarted meanwhile, `CLOSED` when the server said no in a way that asking again
 * does not change, `UNREACHABLE`, or `MESSAGE_TOO_LARGE`, where nothing was sent.
 */
export class AgentError extends Error {
  readonly name: 'AgentError';
  readonly code: AgentTransportErrorCode;
  constructor(code: AgentTransportErrorCode, message: string);
}
