import { FabricClient } from '@captify-io/hub/client';
import { FabricProvider } from '@captify-io/hub/yjs';
import * as Y from 'yjs';
import { ConnectionStatus } from './connection-status';
import { type Identity, PEER_COLORS, identityFrom, loadIdentity, saveIdentity } from './identity';

export interface Peer extends Identity {
  clientId: number;
  isSelf: boolean;
}

/** One window's hold on one document: the text, the connection, and who else is there. */
export class Session {
  readonly documentId: string;
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText('text');
  readonly client: FabricClient;
  readonly provider: FabricProvider;
  readonly status: ConnectionStatus;
  #peers: readonly Peer[] = [];

  constructor(documentId: string) {
    this.documentId = documentId;
    this.client = new FabricClient({ documentId, clientID: String(this.doc.clientID) });
    this.provider = new FabricProvider(this.doc, this.client, { connect: false });
    this.status = new ConnectionStatus(this.client, this.provider);
    this.provider.awareness.on('change', this.#readPeers);
    this.setIdentity(loadIdentity());
    this.provider.connect();
  }

  /** Everyone in the document, this window first; the same array until somebody comes, goes or changes. */
  readonly getPeers = (): readonly Peer[] => this.#peers;

  readonly onPeers = (listener: () => void): (() => void) => {
    this.provider.awareness.on('change', listener);
    return () => this.provider.awareness.off('change', listener);
  };

  setIdentity(identity: Identity): void {
    saveIdentity(identity);
    this.provider.awareness.setLocalStateField('user', identity);
  }

  destroy(): void {
    this.provider.destroy();
    this.client.close();
    this.doc.destroy();
  }

  readonly #readPeers = (): void => {
    const peers: Peer[] = [];
    for (const [clientId, state] of this.provider.awareness.getStates()) {
      const identity = identityFrom(state.user);
      if (identity) peers.push({ ...identity, clientId, isSelf: clientId === this.doc.clientID });
    }
    peers.sort((a, b) => Number(b.isSelf) - Number(a.isSelf) || a.clientId - b.clientId);
    if (JSON.stringify(peers) === JSON.stringify(this.#peers)) return;
    this.#peers = peers;
    this.#avoidSameColor();
  };

  /** Of two windows with one colour the one with the higher id takes another, as long as there are free ones. */
  #avoidSameColor(): void {
    const [self, ...others] = this.#peers;
    if (!self?.isSelf) return;
    const clashes = others.some((peer) => peer.color === self.color && peer.clientId < self.clientId);
    const free = PEER_COLORS.find((color) => this.#peers.every((peer) => peer.color !== color));
    if (clashes && free) this.setIdentity({ name: self.name, color: free });
  }
}
