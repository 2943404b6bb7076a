import type { FabricClient } from '@captify-io/hub/client';
import type { ConnectionStatus } from './connection-status';
import { type Identity, otherColor } from './identity';

export interface Peer extends Identity {
  clientId: string;
  isSelf: boolean;
}

/** One window's hold on one document, as far as it does not matter what kind of document that is. */
export interface DocumentSession {
  readonly documentId: string;
  readonly client: FabricClient;
  readonly status: ConnectionStatus;
  /** Everyone in the document, this window first; the same array until somebody comes, goes or changes. */
  readonly getPeers: () => readonly Peer[];
  /** Calls `listener` after each change of it. Returns what ends it. */
  readonly onPeers: (listener: () => void) => () => void;
  /** Renames this window's person, for everybody. */
  setIdentity(identity: Identity): void;
  destroy(): void;
}

/** Brings peers into the order of {@link DocumentSession.getPeers}. */
export function sorted(peers: Peer[]): Peer[] {
  return peers.sort((a, b) => Number(b.isSelf) - Number(a.isSelf) || compare(a.clientId, b.clientId));
}

/** Of two windows with one colour the one with the higher id takes another, as long as there are free ones. */
export function withOwnColor(peers: readonly Peer[]): Identity | null {
  const [self, ...others] = peers;
  if (!self?.isSelf) return null;
  const before = others.filter(({ clientId }) => compare(clientId, self.clientId) < 0);
  const color = otherColor(self, before, peers);
  return color && { name: self.name, color };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
