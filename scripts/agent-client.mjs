// Writes js/agent-client.mjs from its parts in js/client: one file that imports nothing, so that a page can load it as it
// is. `--check` only says whether it is up to date; a test calls it so.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import prettier from 'prettier';

const HEAD = `// Made by \`npm run agent-client\` from js/client/agent-transport.js and what it needs, which have the comments.
// @captify-io/hub/agent-client: a chat transport for useChat of the AI SDK over an agent endpoint. For browsers.
`;

/** In the order in which they need each other. */
const PARTS = ['reconnecting-socket', 'agent-error', 'agent-reading', 'agent-connection', 'agent-transport'];
const PUBLIC = ['AgentError', 'AgentChatTransport'];

const js = new URL('../js/', import.meta.url);
const target = fileURLToPath(new URL('agent-client.mjs', js));

/** The code of a part without what only makes it a module of its own, and without its comments. */
function codeOf(part) {
  return fs
    .readFileSync(new URL(`client/${part}.js`, js), 'utf8')
    .replace(/^'use strict';\n|^const \{.*\} = require\(.*\);\n|^module\.exports = .*;\n/gm, '')
    .replace(/^ *\/\*\*[^]*?\*\/\n|^ *\/\/.*\n/gm, '')
    .replace(/ \/\/ .*$/gm, '')
    .replace(/^class (\w+)/gm, (line, name) => (PUBLIC.includes(name) ? `export ${line}` : line))
    .replace(/\n{2,}(?= )/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

const text = [HEAD, ...PARTS.map(codeOf)].join('\n\n');
const written = await prettier.format(text, { ...(await prettier.resolveConfig(target)), filepath: target });
if (!process.argv.includes('--check')) fs.writeFileSync(target, written);
else if (fs.readFileSync(target, 'utf8') !== written) {
  throw new Error('js/agent-client.mjs is not up to date: run npm run agent-client');
}
