// The whole of a custom server: Next and the hub on one port. PORT and NODE_ENV come from the environment.
import { startServer } from '@captify-io/hub/server';
import { documents } from './documents.mjs';

await startServer({ dir: import.meta.dirname, hub: { documents } });
