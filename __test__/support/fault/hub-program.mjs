// A process of the fault test: a hub over Redis, route handlers that publish when they are asked to, and the hooks of an app
// whose database is in the test's own process. Argument: the hub's options as JSON.
import http from 'node:http';
import { broadcastSteps, broadcastStepsToClient, editDocument, getDocument, submitUpdate } from '../../../js/index.js';
import { createHub } from '../../../js/server.js';
import { kindOf, labelsIn, stepFor } from './labels.mjs';

/** What is asked of the app's database and not answered yet, by its number. */
const open = new Map();
let questions = 0;

/** Asks the app's database. */
function database(question, about) {
  questions += 1;
  const number = questions;
  return new Promise((resolve, reject) => {
    open.set(number, { resolve, reject });
    process.send({ database: number, question, about });
  });
}

/** Puts steps into a document: each one more label at its end. */
function apply(doc, steps) {
  const content = [...(doc?.content ?? [])];
  for (const { from, to, slice } of steps) {
    if (from !== content.length || to !== from) throw new Error(`a step for ${from} where there are ${content.length}`);
    content.push(...slice.content);
  }
  return { type: 'doc', content };
}

const documents = {
  kind: kindOf,
  load: ({ documentId }) => database('load', { documentId }),
  save: ({ signal, steps, updates, ...about }) => database('save', about),
  apply,
  merge: (state, updates) => [...new Set([...(state ?? []), ...updates.map(({ label }) => label)])],
  conflict: ({ documentId, loaded, log: { doc, version, savedVersion } }) =>
    database('conflict', { documentId, loaded, log: { doc, version, savedVersion } }),
};

const options = JSON.parse(process.argv[2]);
const hub = createHub({ ...options, documents: { ...documents, ...options.documents } });
const server = http.createServer();
hub.attach(server);
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));

const asked = {
  publish: ({ documentId, label, to, steps }) =>
    to === undefined ? broadcastSteps(documentId, steps, label) : broadcastStepsToClient(documentId, to, steps, label),
  edit: ({ documentId, label, pad }) =>
    editDocument(documentId, ({ doc }) => {
      const labels = labelsIn(doc);
      return [stepFor(label, labels.length, { after: labels.at(-1), pad })];
    }),
  update: ({ documentId, label, pad }) => submitUpdate(documentId, { label, pad }),
  read: ({ documentId }) => getDocument(documentId),
  redis: async () => hub.stats().redis,
};

async function answer({ id, ask, ...question }) {
  try {
    return { id, value: await asked[ask](question) };
  } catch ({ code, message }) {
    return { id, error: { code, message } };
  }
}

process.on('disconnect', () => process.exit());
process.on('message', async (message) => {
  if (message.database === undefined) return process.send(await answer(message));
  const { resolve, reject } = open.get(message.database);
  open.delete(message.database);
  if (message.error === undefined) resolve(message.value);
  else reject(new Error(message.error));
});
