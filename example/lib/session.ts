import { FabricClient } from '@captify-io/hub/client';
import { FabricProvider } from '@captify-io/hub/yjs';
import * as Y from 'yjs';
import { ConnectionStatus } from './connection-status';
import { type DocumentSession, type Peer, sorted, withOwnColor } from './document-session';
import { type Identity, identityFrom, loadIdentity, saveIdentity } from './identity';

/** One window's hold on one text: the text, the connection, and who else is there. */
export class Session implements DocumentSession {
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
    this.status = new ConnectionStatus(this.client);
    this.provider.on('sync', (synced) => this.status.setSynced(synced));
    this.provider.on('error', ({ message }) => this.status.setFault(message));
    this.provider.awareness.on('change', this.#readPeers);
    this.setIdentity(loadIdentity());
    addEventListener('beforeunload', this.#onLeaving);
    this.provider.connect();
  }

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
    removeEventListener('beforeunload', this.#onLeaving);
    this.provider.destroy();
    this.client.close();
    this.doc.destroy();
  }

  /** What only this window has would go with it. */
  readonly #onLeaving = (event: BeforeUnloadEvent): void => {
    if (this.provider.unacknowledged > 0) event.preventDefault();
  };

  readonly #readPeers = (): void => {
    const peers: Peer[] = [];
    for (const [clientId, state] of this.provider.awareness.getStates()) {
      const identity = identityFrom(state.user);
      if (identity) peers.push({ ...identity, clientId: String(clientId), isSelf: clientId === this.doc.clientID });
    }
    sorted(peers);
    if (JSON.stringify(peers) === JSON.stringify(this.#peers)) return;
    this.#peers = peers;
    const identity = withOwnColor(peers);
    if (identity) this.setIdentity(identity);
  };
}
