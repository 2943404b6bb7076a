/**
 * `@captify-io/hub/prosemirror`: a ProseMirror editor on a document with an authority, in one call.
 *
 * Needs the app's own prosemirror-collab, -model, -state, -transform and -view. An ES module.
 */
import type { Node } from 'prosemirror-model';
import type { EditorState, Plugin, Transaction } from 'prosemirror-state';
import type { EditorView } from 'prosemirror-view';
import type { FabricClient } from './client.js';

/**
 * - `connecting`: the document was not loaded yet. Not editable.
 * - `saving`: the hub has not confirmed all that was written here.
 * - `stored`: the hub has everything, on its disk where it has a store; the app has not saved it yet, as far as is known.
 * - `saved`: the app has saved all that is shown.
 * - `offline`: there is no connection, or it is not up to date again. Editable: what is written is kept and sent.
 * - `readOnly`: this user may only read. Not editable.
 * - `failed`: `code` says what stopped it. Not editable; the next connection tries again.
 * - `closed`: the client has stopped, and `connect()` starts it again. Not editable.
 */
export type FabricCollabState =
  'closed' | 'connecting' | 'failed' | 'offline' | 'readOnly' | 'saved' | 'saving' | 'stored';

/**
 * - `BAD_DOCUMENT`: the document does not fit the editor's schema. It is not shown.
 * - `STEPS_DO_NOT_FIT`: steps of the log do not fit the document. It is loaded anew, once.
 * - `STEP_TOO_LONG`: a single change is longer than a message may be.
 * - `READ_ONLY`: this user may only read.
 * - `WRONG_KIND`: the hub has no authority for this document.
 *
 * Others are the hub's own, with which it has refused a message.
 */
export type FabricCollabErrorCode =
  'BAD_DOCUMENT' | 'READ_ONLY' | 'STEPS_DO_NOT_FIT' | 'STEP_TOO_LONG' | 'WRONG_KIND' | (string & {});

export interface FabricCollabStatus {
  readonly state: FabricCollabState;
  /** Of the document without what is not confirmed; null before it was loaded. */
  readonly version: number | null;
  /** Up to where the app has saved it; null as long as the hub has not said. */
  readonly savedVersion: number | null;
  /** Steps that the hub has not confirmed. */
  readonly unconfirmed: number;
  /** What stopped it, where the state is `failed`. */
  readonly code: FabricCollabErrorCode | null;
  /** Words for `code`, or why the connection ended; may be empty. */
  readonly reason: string;
}

export interface FabricCollabError extends Error {
  code: FabricCollabErrorCode;
}

/** The document came anew while steps waited, because the hub could not say what was missed. */
export interface FabricCollabReload {
  /** Of the hub's message `reload`, or `HISTORY_GONE`, or `STEPS_DO_NOT_FIT`. */
  reason: string;
  /** Steps that were sent and not answered: they are in the new document if the hub had accepted them, else gone. */
  uncertain: number;
  /** Steps that had not been sent, and have no place in the new document. The others are kept, and sent. */
  dropped: number;
  /** What was shown before. */
  before: Node;
}

export interface FabricUser {
  userId?: string;
  userName: string;
  /** A colour of CSS, as `#b4232a`. */
  userColor: string;
}

/** Somebody else in the document. The names are that client's words. */
export interface FabricPeer extends Required<FabricUser> {
  clientID: string;
  anchor: number;
  head: number;
}

export interface FabricCollabEvents {
  /** Called with every status that is another than the last. */
  onStatus?(status: FabricCollabStatus): void;
  /** Called after the document came anew; only where one was shown before. */
  onReload?(reload: FabricCollabReload): void;
  /** Default: `console.error`. */
  onError?(error: FabricCollabError): void;
}

export interface FabricCollabOptions extends FabricCollabEvents {
  /** Shown to the others, with the selection. Default: nothing is shown. */
  user?: FabricUser;
  /** Draws somebody's cursor. Default: a bar with the name, classes `fabric-cursor` and `fabric-cursor-name`. */
  cursor?(peer: FabricPeer): HTMLElement;
}

/**
 * The plugins of an editor: prosemirror-collab, and one that keeps it in step with the hub.
 *
 * The document given to the state is only a place for the one that is loaded. The client's `clientID` must be this editor's
 * alone: one for each window. A client that was not connected yet is connected; closing it remains the app's.
 */
export function fabricCollab(client: FabricClient, options?: FabricCollabOptions): Plugin[];

/** The status by an editor's state. */
export function fabricStatus(state: EditorState): FabricCollabStatus;

/**
 * Says anew who this editor's user is, as after a rename: the others see it at once. Holds in place of the option `user`, and
 * shows somebody who was not shown before.
 */
export function setFabricUser(view: Pick<EditorView, 'dispatch' | 'state'>, user: FabricUser): void;

/** Who else is in the document and has shown where, with positions in this state. */
export function fabricPeers(state: EditorState): FabricPeer[];

/**
 * What the plugin does, for an editor without a view: a program that writes. The state needs the plugins of
 * {@link fabricCollab}, which do nothing by themselves where there is no view.
 */
export class CollabSession {
  constructor(
    editor: { readonly state: EditorState; dispatch(transaction: Transaction): void },
    client: FabricClient,
    options?: FabricCollabEvents & {
      /** Called when everything is up to date, after each connection. */
      onLive?(): void;
    },
  );
  /** Begins to listen, and connects a client that was not connected yet. */
  start(): void;
  /** Stops listening. */
  stop(): void;
  /** To be called after every transaction that the session has not dispatched itself. */
  update(): void;
  /** Shows the others where the selection is. Does nothing before the document is there. */
  show(user: FabricUser): void;
}
