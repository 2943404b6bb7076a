// The whole of a custom server: Next and the hub on one port. PORT and NODE_ENV come from the environment.
import { startServer } from '@captify-io/hub/server';
import { documents } from './documents.mjs';

// A proxy that comes by a unix-domain socket is on this machine, and says for whom it asks.
await startServer({ dir: import.meta.dirname, hub: { documents, trustProxy: 'unix' } });
