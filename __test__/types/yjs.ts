// How an app's code uses the Y.js provider; types.test.mjs compiles it. It is never run.
import { FabricClient } from '@captify-io/hub/client';
import { FabricProvider, merge, type FabricProviderErrorCode } from '@captify-io/hub/yjs';
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';

export function open(documentId: string): () => void {
  const doc = new Y.Doc();
  const client = new FabricClient({ documentId, clientID: String(doc.clientID) });
  const provider = new FabricProvider(doc, client, { awareness: new Awareness(doc), connect: false });
  const ends: (() => void)[] = [
    provider.on('sync', (synced: boolean) => console.log(synced)),
    provider.once('synced', (synced) => console.log(synced === provider.synced)),
    provider.on('status', ({ status }) => console.log(status === 'connected' || status === provider.status)),
    provider.on('error', ({ code, message, cause }) => {
      const known: FabricProviderErrorCode = code;
      console.log(known, message, cause);
    }),
  ];
  provider.awareness.setLocalStateField('user', { name: 'Ada' });
  Y.applyUpdate(provider.doc, new Uint8Array(), provider);
  provider.connect();
  const waiting: number = provider.unacknowledged;
  console.log(waiting, provider.client.kind === 'updates', merge(null, ['AAA=']));
  return () => {
    for (const end of ends) end();
    provider.disconnect();
    provider.destroy();
    client.close();
    // @ts-expect-error an event that is none
    provider.on('saved', () => {});
    // @ts-expect-error a provider has its client from the app
    new FabricProvider(doc);
  };
}
