// Copies ReconnectingSocket from js/client.js into js/agent-client.mjs, which imports nothing so that a page can load it
// as it is, as it can the client. `--check` only says whether the copy is up to date. A test calls it so.
import fs from 'node:fs';

const [source, target] = ['client.js', 'agent-client.mjs'].map((name) => new URL(`../js/${name}`, import.meta.url));
const SHARED = /\/\/ ---- ReconnectingSocket: [^]*\/\/ ---- end of ReconnectingSocket ----\n/;

const [shared] = SHARED.exec(fs.readFileSync(source, 'utf8'));
const before = fs.readFileSync(target, 'utf8');
const after = before.replace(SHARED, () => shared);
if (process.argv.includes('--check')) {
  if (before !== after) throw new Error('js/agent-client.mjs is not up to date: run npm run share-socket');
} else fs.writeFileSync(target, after);
