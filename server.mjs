// captify's custom server: Next and the hub in one process, on one port. Copy it to the app's root as it is.
//
// NODE_ENV and PORT are read from the environment, -p and -H from the command line, as by `next start`. What ends a process
// by a terminal or a process manager ends it cleanly.
import { startServer } from '@captify-io/hub/server';

await startServer({ dir: import.meta.dirname });
