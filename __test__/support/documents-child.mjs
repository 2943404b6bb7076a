// A hub whose documents are all of one kind, as an app would run it: `steps` with the basic schema, or `updates` of Y.js; the
// store and the app's documents in a folder. Arguments as JSON: `folder`, `kind`, `doc` that documents begin with, `reader`:
// the client that may only read. `POST /steps` submits `{ documentId, version, steps, clientID }`, `GET /<id>` answers a document.
import fs from 'node:fs/promises';
import path from 'node:path';
import { Node } from 'prosemirror-model';
import { schema } from 'prosemirror-schema-basic';
import { Step } from 'prosemirror-transform';
import { getDocument, submitSteps } from '../../js/index.js';
import { merge } from '../../js/yjs.mjs';
import { HubServer } from './hub-server.mjs';

const { folder, kind = 'steps', doc: first = null, reader, logLevel = 'off' } = JSON.parse(process.argv[2]);

const fileOf = (documentId) => path.join(folder, `${encodeURIComponent(documentId)}.json`);

async function load({ documentId }) {
  try {
    return JSON.parse(await fs.readFile(fileOf(documentId), 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return first && { doc: first, version: 0 };
  }
}

async function save({ documentId, doc, version, state }) {
  const written = `${fileOf(documentId)}.new`;
  await fs.writeFile(written, JSON.stringify({ doc, version, state }));
  await fs.rename(written, fileOf(documentId));
}

function apply(doc, steps) {
  let node = doc ? Node.fromJSON(schema, doc) : schema.topNodeType.createAndFill();
  for (const json of steps) {
    const { doc: next, failed } = Step.fromJSON(schema, json).apply(node);
    if (failed) throw new Error(failed);
    node = next;
  }
  return node.toJSON();
}

async function listener(request, response) {
  if (request.method === 'GET') {
    return response.end(JSON.stringify(await getDocument(decodeURIComponent(request.url.slice(1)))));
  }
  const body = [];
  for await (const piece of request) body.push(piece);
  try {
    const { documentId, ...batch } = JSON.parse(Buffer.concat(body));
    response.end(JSON.stringify(await submitSteps(documentId, batch)));
  } catch (error) {
    response.writeHead(error.code === 'HUB_STALE' ? 409 : 500).end(String(error));
  }
}

const readers = reader && {
  session: ({ url }) => ({ id: new URL(url, 'http://host').searchParams.get('clientID') }),
  access: ({ user }) => (user.id === reader ? 'read' : 'write'),
};

const server = await HubServer.start({
  listener,
  logLevel,
  allowedOrigins: 'any',
  limits: false,
  stateDir: path.join(folder, 'state'),
  documents: {
    kind,
    store: path.join(folder, 'documents.redb'),
    load,
    save,
    apply,
    merge,
    saveAfterMs: 100,
    saveWithinMs: 400,
  },
  ...readers,
});
process.once('SIGTERM', async () => {
  await server.close();
  process.exit(0);
});
console.log(`listening on 127.0.0.1:${server.port}`);
