// The example app's production build with the hub in it, as captify runs.
import { startServer } from '../../js/server.js';
import { example } from '../lib/paths.mjs';

const { port } = await startServer({ dir: example, dev: false, port: 0, hostname: '127.0.0.1', banner: false });
console.log(`listening on 127.0.0.1:${port}`);
