/**
 * `@captify-io/hub/yjs`: a provider of Y.js documents over `FabricClient`, for y-prosemirror, Tiptap, BlockNote,
 * y-codemirror.next and whatever else takes one. For browsers and Node, as an ES module.
 *
 * `yjs` and `y-protocols` are the app's own; there must be one copy of them.
 */
import type { Awareness } from 'y-protocols/awareness';
import type { Doc } from 'yjs';
import type { FabricClient } from './client.js';

export interface FabricProviderOptions {
  /** What the clients show each other. Default: a new one, which ends with the provider. */
  awareness?: Awareness;
  /** Whether the client is told to connect at once. Default true. */
  connect?: boolean;
}

/**
 * Why something could not be done.
 *
 * - `TOO_LARGE`: an update, a value or a snapshot that the hub would not take. In a document of kind `updates` a single
 *   value that is longer than a message was taken out of the document again; `message` says what it was.
 * - `AWARENESS_TOO_LARGE`: what this client shows of itself is longer than a message may be; the others see what it
 *   showed before.
 * - `READ_ONLY`: the hub refused an edit. It is sent once the user may write again.
 * - `UNREADABLE`: a message is none of Y.js; `cause` says what was wrong with it.
 * - `WRONG_KIND`: the document has an authority, and is edited by steps.
 */
export type FabricProviderErrorCode = 'AWARENESS_TOO_LARGE' | 'READ_ONLY' | 'TOO_LARGE' | 'UNREADABLE' | 'WRONG_KIND';

/** What is listened to by `on`, and what its listeners are called with. */
export interface FabricProviderEvents {
  /** The document is up to date by all that there is, or is not any more. */
  sync: [synced: boolean];
  /** The same under its other name. */
  synced: [synced: boolean];
  /** `status` is another. */
  status: [{ status: 'connecting' | 'connected' | 'disconnected' }];
  /** Something could not be done. Where nobody listens it is logged as a warning. */
  error: [{ code: FabricProviderErrorCode; message: string; cause: unknown }];
  /** `destroy()` was called, or the document was destroyed. */
  destroy: [];
}

/**
 * Keeps a Y.js document the same in all clients of a document of the hub, and shows each the awareness of the others.
 *
 * Its updates have it as their origin. `Y.applyUpdate(doc, stored, provider)` therefore brings in what the app has loaded
 * without sending it to anybody.
 */
export class FabricProvider {
  /**
   * @param client belongs to the app, which closes it after `destroy()`; one client has one provider
   * @throws with `code` `HUB_INVALID_ARGUMENT`
   */
  constructor(doc: Doc, client: FabricClient, options?: FabricProviderOptions);
  readonly doc: Doc;
  readonly client: FabricClient;
  readonly awareness: Awareness;
  /**
   * Whether the document has all that there is: in a relay what the others had who are there, or nobody is there; in a
   * document of kind `updates` what the hub had stored. False without a connection.
   */
  readonly synced: boolean;
  readonly status: 'connecting' | 'connected' | 'disconnected';
  /** How many messages of edits wait to be sent, or for the hub to say that it has them. */
  readonly unacknowledged: number;

  /** Connects the client now, also out of a wait. */
  connect(): void;
  /** Says goodbye to the others and closes the client. What is edited meanwhile is sent after `connect()`. */
  disconnect(): void;
  /** Says goodbye to the others and lets go of document and client. Does not close the client. */
  destroy(): void;

  /** Calls `listener` with every event of that name. What it throws is logged. Returns what ends it. */
  on<Event extends keyof FabricProviderEvents>(
    event: Event,
    listener: (...details: FabricProviderEvents[Event]) => void,
  ): () => void;
  /** The same for the next event only. */
  once<Event extends keyof FabricProviderEvents>(
    event: Event,
    listener: (...details: FabricProviderEvents[Event]) => void,
  ): () => void;
  off<Event extends keyof FabricProviderEvents>(
    event: Event,
    listener: (...details: FabricProviderEvents[Event]) => void,
  ): void;
}

/**
 * Merges updates of Y.js into one, all of them in base64: what the option `documents.merge` of the hub needs for documents
 * that this provider edits.
 *
 * @param state null where there is none yet
 */
export function merge(state: string | null | undefined, updates: readonly string[]): string;
