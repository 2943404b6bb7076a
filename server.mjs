// captify's custom server: Next and the hub in one process, on one port. Copy it to the app's root as it is.
//
// NODE_ENV, PORT and HOSTNAME are read from the environment. SIGINT, SIGTERM and PM2's shutdown message end it cleanly.
import { startServer } from '@captify-io/hub/server';

await startServer({ dir: import.meta.dirname });
