import { FabricClient } from '@captify-io/hub/client';
import {
  type FabricCollabReload,
  type FabricCollabStatus,
  fabricCollab,
  fabricPeers,
  fabricStatus,
  setFabricUser,
} from '@captify-io/hub/prosemirror';
import { EditorState, Plugin } from 'prosemirror-state';
import { EditorView } from 'prosemirror-view';
import { caretOf } from './caret';
import { ConnectionStatus } from './connection-status';
import { type DocumentSession, type Peer, sorted, withOwnColor } from './document-session';
import { type Identity, colorNamed, loadIdentity, plainColorOf, saveIdentity } from './identity';
import { notePlugins } from './note-plugins';
import { schema } from './note-schema.mjs';

/** What went wrong, for a person; `isLost` where something written here is not in the note. */
export interface NoteNews {
  text: string;
  isLost: boolean;
}

/** One window's hold on one note: the editor's state, the connection, and who else is there. */
export class NoteSession implements DocumentSession {
  readonly documentId: string;
  readonly client: FabricClient;
  readonly status: ConnectionStatus;
  readonly #listeners = new Set<() => void>();
  readonly #peerListeners = new Set<() => void>();
  #identity = loadIdentity();
  #state: EditorState;
  #saving: FabricCollabStatus;
  #news: NoteNews | null = null;
  #peers: readonly Peer[] = [];
  #view: EditorView | null = null;

  constructor(documentId: string) {
    this.documentId = documentId;
    this.client = new FabricClient({ documentId, clientID: randomId() });
    this.status = new ConnectionStatus(this.client);
    const collab = fabricCollab(this.client, {
      user: this.#user(),
      cursor: caretOf,
      onStatus: (status) => this.#follow(status),
      onReload: (reload) => this.#reloaded(reload),
      onError: ({ message }) => this.#tell({ text: `${message}.`, isLost: true }),
    });
    const watch = new Plugin({ view: () => ({ update: ({ state }) => this.#read(state) }) });
    this.#state = EditorState.create({ schema, plugins: [...notePlugins(schema), ...collab, watch] });
    this.#saving = fabricStatus(this.#state);
    this.#readPeers();
    addEventListener('beforeunload', this.#onLeaving);
  }

  /** Shows the note at a place in the page; the first call connects. Returns what takes it away again. */
  mount(place: HTMLElement): () => void {
    const view = new EditorView(place, {
      state: this.#state,
      attributes: { role: 'textbox', 'aria-multiline': 'true', 'aria-label': 'Note', spellcheck: 'true' },
    });
    this.#view = view;
    this.#notify();
    return () => {
      this.#view = null;
      view.destroy();
    };
  }

  /** The editor, while it is shown. */
  get view(): EditorView | null {
    return this.#view;
  }

  /** The same object until something changes, as are the next two. */
  readonly getState = (): EditorState => this.#state;

  /** How much of what was written is stored, and saved. */
  readonly getSaving = (): FabricCollabStatus => this.#saving;

  readonly getNews = (): NoteNews | null => this.#news;

  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getPeers = (): readonly Peer[] => this.#peers;

  readonly onPeers = (listener: () => void): (() => void) => {
    this.#peerListeners.add(listener);
    return () => this.#peerListeners.delete(listener);
  };

  setIdentity(identity: Identity): void {
    saveIdentity(identity);
    this.#identity = identity;
    if (this.#view) setFabricUser(this.#view, this.#user());
    this.#readPeers();
  }

  /** Takes note of the news. */
  dismissNews(): void {
    this.#news = null;
    this.#notify();
  }

  destroy(): void {
    removeEventListener('beforeunload', this.#onLeaving);
    this.client.close();
  }

  #user() {
    return { userName: this.#identity.name, userColor: plainColorOf(this.#identity.color) };
  }

  #follow(saving: FabricCollabStatus): void {
    this.#saving = saving;
    this.status.setSynced(!['closed', 'connecting', 'failed', 'offline'].includes(saving.state));
    this.#notify();
  }

  #reloaded({ uncertain, dropped }: FabricCollabReload): void {
    if (uncertain + dropped === 0) return;
    const what = uncertain + dropped === 1 ? 'a change' : `${uncertain + dropped} changes`;
    this.#tell({ text: `The note was loaded anew, and ${what} of yours may be missing from it.`, isLost: true });
  }

  #tell(news: NoteNews): void {
    this.#news = news;
    this.#notify();
  }

  #read(state: EditorState): void {
    this.#state = state;
    this.#readPeers();
    this.#notify();
  }

  #readPeers(): void {
    const self = { ...this.#identity, clientId: this.client.clientID, isSelf: true };
    const others = fabricPeers(this.#state).map(({ clientID, userName, userColor }) => ({
      name: userName || 'Somebody',
      color: colorNamed(userColor),
      clientId: clientID,
      isSelf: false,
    }));
    const peers = sorted([self, ...others]);
    if (JSON.stringify(peers) === JSON.stringify(this.#peers)) return;
    this.#peers = peers;
    for (const listener of this.#peerListeners) listener();
    const identity = withOwnColor(peers);
    // Not now: this is in the middle of an update of the view.
    if (identity) queueMicrotask(() => this.setIdentity(identity));
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  /** What only this window has would go with it. */
  readonly #onLeaving = (event: BeforeUnloadEvent): void => {
    if (fabricStatus(this.#state).unconfirmed > 0) event.preventDefault();
  };
}

/** One a window, not one a person: two windows with one id would take each other's changes for their own. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
