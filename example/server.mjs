// The whole of a custom server: Next and the hub on one port. PORT and NODE_ENV come from the environment.
import { startServer } from '@captify-io/hub/server';
import { documents } from './documents.mjs';

// Documents that stay have one process as their authority so far, so over a Redis (`npm run start:two`) all are relays.
const kept = process.env.HUB_REDIS_URL ? {} : { documents };

// A proxy that comes by a unix-domain socket is on this machine, and says for whom it asks.
await startServer({ dir: import.meta.dirname, hub: { ...kept, trustProxy: 'unix' } });
