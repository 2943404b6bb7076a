/** A connection as a handler has it. Exported by `index.d.ts`. */

import type { EventEmitter } from 'node:events';

/** An event as `onmessage` and `addEventListener` of a handler's socket get it. */
export interface SocketEvent<Data = any> {
  type: 'open' | 'message' | 'close' | 'error';
  target: ExtendedWebSocket<Data>;
}

/**
 * A connection as its handler has it: what a server uses of the npm package `ws` 8, and `flushed`. Calls are for the
 * thread of the handlers, Node's main one. What a handler keeps of a connection goes into {@link ExtendedWebSocket.data}.
 */
export interface ExtendedWebSocket<Data = any> extends EventEmitter {
  /**
   * The handler's own: an empty object, until `onConnect` assigns to it. Its type is the handler's parameter, as in
   * `WebSocketHandler<{ threadId: string }>`; nobody checks that `onConnect` has filled it.
   */
  data: Data;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;
  /** 1 is open, 2 is closing, 3 is closed. Never 0: a handler is given the connection when it is open. */
  readonly readyState: 1 | 2 | 3;
  /** What binary messages are to listeners of `'message'`; `onMessage` of the handler always gets a `Buffer`. */
  binaryType: 'nodebuffer' | 'arraybuffer' | 'fragments';
  /** Empty: the hub negotiates no extension. */
  readonly extensions: '';
  /** Whether {@link ExtendedWebSocket.pause} was called and `resume` not since. */
  readonly isPaused: boolean;
  /**
   * Nothing is handed on until `resume`, neither to `onMessage` nor to listeners, and above `maxInboxBytes` the client is not
   * read. What had come before a close is handed on before it, paused or not.
   */
  pause(): void;
  resume(): void;
  /** As in browsers and in `ws`: setting one takes the place of the one before. */
  onopen: ((event: SocketEvent<Data>) => void) | null;
  onmessage: ((event: SocketEvent<Data> & { data: string | Buffer | ArrayBuffer | Buffer[] }) => void) | null;
  onclose: ((event: SocketEvent<Data> & { code: number; reason: string; wasClean: boolean }) => void) | null;
  onerror: ((event: SocketEvent<Data> & { error: Error; message: string }) => void) | null;
  addEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    listener: ((event: any) => void) | { handleEvent(event: any): void },
    options?: { once?: boolean },
  ): void;
  removeEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    listener: ((event: any) => void) | { handleEvent(event: any): void },
  ): void;
  /** The subprotocol that the handshake has agreed on; empty for none. See {@link WebSocketHandler.handleProtocols}. */
  readonly protocol: string;
  /** What follows the beginning that a handler of `/ws/yjs/*` serves, decoded; empty for a handler of one path. */
  readonly subpath: string;
  /**
   * Bytes that were sent and that the kernel has not taken, frame headers included. For a member of rooms also what was
   * published to them and is still on its way, whether the connection is excepted from it or not.
   */
  readonly bufferedAmount: number;
  /**
   * Sends a message: a string as text, anything else as binary, unless `options.binary` says otherwise. What one turn
   * of the event loop sends to a connection leaves in one write at the end of it.
   *
   * More than `maxOutboxBytes` waiting closes the connection with 1013: see {@link ExtendedWebSocket.flushed}. On a
   * connection that is not open nothing happens; only `done` is told, with an error, as `ws` does it.
   *
   * @param done called once the kernel has taken everything, or with the reason why it will not
   */
  send(data: SocketData, done?: (error?: Error) => void): void;
  send(data: SocketData, options: { binary?: boolean; compress?: boolean }, done?: (error?: Error) => void): void;
  /**
   * Resolves with `true` once at most `belowBytes` (default 0) wait to be sent, and with `false` when the connection
   * is not open, or closes before that. Lets a producer go as fast as the client reads. Never rejects but for a
   * `belowBytes` that is no number from 0.
   */
  flushed(belowBytes?: number): Promise<boolean>;
  /**
   * Makes it a member of a room of its handler's path: it gets what is {@link publish}ed from now on, in one order with
   * what it is sent. It leaves by itself when it closes. From its first room on the hub's threads write what it is sent.
   *
   * @param room 1 to 512 bytes of UTF-8. Rooms are there while they have members.
   * @param options.slowAboveBytes after a publication of this room more than so many bytes wait for the connection: then it
   *   emits `'slow'`, once until it has left and joined again. Default: never.
   * @returns whether it is a member now; `false` where it is not open
   * @throws `HUB_INVALID_ARGUMENT`, `HUB_TOO_MANY_ROOMS`
   */
  join(room: string, options?: { slowAboveBytes?: number }): boolean;
  /**
   * Ends its being a member of a room: it gets nothing that is published from now on.
   *
   * @returns whether it was a member
   * @throws `HUB_INVALID_ARGUMENT`
   */
  leave(room: string): boolean;
  /**
   * Begins the closing handshake, after what was sent. It leaves its rooms at once. What the client sends meanwhile may be delivered or not.
   *
   * @param code 1000 to 1014 but for 1004, 1005 and 1006, or 3000 to 4999; another throws a `TypeError`. None sends none.
   * @param reason at most 123 bytes; more throws a `RangeError`
   */
  close(code?: number, reason?: string | Buffer): void;
  /** Drops the socket at once. `onClose` gets 1006. */
  terminate(): void;
  /** Sends a ping of at most 125 bytes; its answer is the event `'pong'`. The hub pings silent clients by itself. */
  ping(data?: SocketData, mask?: boolean, done?: (error?: Error) => void): void;
  /** Sends a pong that nobody asked for; pings are answered by the hub. */
  pong(data?: SocketData, mask?: boolean, done?: (error?: Error) => void): void;

  on(event: 'message', listener: (this: this, data: Buffer, isBinary: boolean) => void): this;
  on(event: 'close', listener: (this: this, code: number, reason: Buffer) => void): this;
  on(event: 'error', listener: (this: this, error: Error) => void): this;
  on(event: 'pong', listener: (this: this, data: Buffer) => void): this;
  /** See {@link ExtendedWebSocket.join}. Tell its producers to wait ({@link ExtendedWebSocket.flushed}), or have it leave. */
  on(event: 'slow', listener: (this: this, room: string) => void): this;
  on(event: string | symbol, listener: (this: this, ...args: any[]) => void): this;

  /** The `id` of the session's user, where the hub has a `session`. Otherwise what a handler sets. */
  userId?: any;
  /**
   * What handlers set on it: `threadId`, `isAlive` … It makes a name that is misspelt pass.
   *
   * @deprecated Use {@link ExtendedWebSocket.data}, which has a type; a later version takes no other names.
   */
  [property: string]: any;
}

/** What can be sent. A number is sent as its digits. */
export type SocketData = string | number | Buffer | ArrayBuffer | ArrayBufferView;

/** What {@link publish} sends: a string as text, anything else as binary. */
export type RoomMessage = string | Buffer | ArrayBuffer | ArrayBufferView;
