/** The option `documents`: what the hub does with documents that stay, and what it asks the app. Exported by `server.d.ts`. */

/** What the hub does with a document: passes on what clients say, puts their steps into one order, or keeps their updates. */
export type DocumentKind = 'relay' | 'steps' | 'updates';

/** A document of kind `steps` as the app keeps it. */
export interface LoadedDocument {
  /** Its JSON. */
  doc: unknown;
  /** How many steps it is made of. Default 0. */
  version?: number;
}

/** A document of kind `updates` as the app keeps it. */
export interface LoadedState {
  /** All its updates merged, in the app's own encoding: anything that has JSON. */
  state: unknown;
}

/** What `save` is told of a document of kind `steps`. */
export interface StepsToSave {
  documentId: string;
  /** The document at `version`; missing without `apply`. */
  doc: any;
  /** The steps since `previousVersion`. */
  steps: any[];
  version: number;
  previousVersion: number;
  /** `quiet`: nobody edits; `overdue`: somebody has edited for `saveWithinMs`; `shutdown`; `restart`: left by an earlier process. */
  reason: 'quiet' | 'asked' | 'overdue' | 'shutdown' | 'restart';
  /** Who has edited it since: ids of users, or of clients where no session says who they are. */
  editors: string[];
  signal: AbortSignal;
}

/** What `save` is told of a document of kind `updates`. */
export interface UpdatesToSave extends Pick<StepsToSave, 'documentId' | 'reason' | 'editors' | 'signal'> {
  /** Everything merged; missing without `merge`. */
  state: any;
  /** The updates since `previousOffset`. */
  updates: any[];
  /** How many updates it is made of, since the hub keeps it. */
  offset: number;
  previousOffset: number;
}

export interface DocumentOptions {
  /** The kind of each document, or of all. Asked whenever it matters, so it must answer the same again. Default `'relay'`. */
  kind?: DocumentKind | ((documentId: string) => DocumentKind);
  /**
   * The file in which steps are kept until the app has saved them. A process has it to itself: the next one waits up to 15 s
   * for the one before it to end. Steps are shown to nobody before they are on disk. `false`: memory only. Default
   * `'./.hub/documents.redb'`. With the option `redis` it is not used: Redis keeps them.
   */
  store?: string | false;
  /** Memory for the store, in bytes, at least 1 MiB. Default 32 MiB. */
  storeCacheBytes?: number;
  /**
   * Loads a document, once however many open it. `null`: there is none yet. What it throws, or `loadTimeoutMs`, lets nobody in
   * (1013): a failure is never an empty document. `user` is the id of who is the first to open it, `parameters` what else
   * stood in the query; both are missing where a route handler, or the start of the hub, needs the document.
   */
  load?: (about: {
    documentId: string;
    user?: string;
    parameters: Record<string, string>;
    signal: AbortSignal;
  }) => LoadedDocument | LoadedState | null | Promise<LoadedDocument | LoadedState | null>;
  /**
   * Saves a document. Never called twice at once for one document; called again, with longer and longer waits up to a minute,
   * until it does not throw; may be called twice for one version. Make it conditional on `previousVersion`, which is what was
   * saved or loaded last. It is given {@link StepsToSave} or {@link UpdatesToSave}, by the document's kind.
   */
  save?: (about: any) => void | Promise<void>;
  /**
   * Makes a document out of one and steps, and throws where they do not fit; must not change what it is given. Called in slices
   * when a document is saved or read. Steps that it refuses are set aside with all that came after them, and everybody is
   * sent on with what was good.
   */
  apply?: (doc: any, steps: any[]) => unknown;
  /**
   * Makes one state of one, `null` before there is any, and updates. Called in slices, as `apply` is. An update that it refuses
   * is left out, which is in the log.
   */
  merge?: (state: any, updates: any[]) => unknown;
  /**
   * Decides where the app's copy was changed by somebody else while steps were not saved. Default `'loaded'`: the app's goes
   * on, and the steps are set aside in the store.
   */
  conflict?: (about: {
    documentId: string;
    loaded: LoadedDocument | null;
    log: { doc: any; steps: any[]; version: number; savedVersion: number };
    signal: AbortSignal;
  }) => 'loaded' | 'log' | Promise<'loaded' | 'log'>;
  /** How long nobody must edit a document before it is saved, in milliseconds. Default 2000. */
  saveAfterMs?: number;
  /** How long after the first edit it is saved at the latest. Default 10,000. */
  saveWithinMs?: number;
  /** How long `load` and `conflict` may take. Default 10,000. */
  loadTimeoutMs?: number;
  /** How long `save` may take before it is tried again. Default 30,000. */
  saveTimeoutMs?: number;
  /** How long a saved document that nobody needs stays in memory. Default 60,000. */
  idleMs?: number;
  /** Most steps that a client may send at once. Default 1000. */
  maxBatchSteps?: number;
  /**
   * Bytes of a document's JSON, as it was last loaded, merged or sent by a client, from which on it does not grow: steps that
   * insert something, and updates, are refused with `DOCUMENT_TOO_LARGE` (route handlers: `HUB_DOCUMENT_TOO_LARGE`), steps
   * that only remove are taken. Default 16 MiB.
   */
  maxDocumentBytes?: number;
}
