// The hub with documents that have an authority. STORE is the file it stores them in; without it they are in memory only.
// APPLY has it make documents of their steps; without it clients are asked for them.
import http from 'node:http';
import { createHub } from '../../js/server.js';
import { listen } from '../control/listen.mjs';

const server = http.createServer();
const documents = {
  kind: 'steps',
  store: process.env.STORE ?? false,
  // How dear it is to make a document is the app's.
  apply: process.env.APPLY ? (doc, steps) => ({ steps: (doc?.steps ?? 0) + steps.length }) : undefined,
  saveAfterMs: 200,
  saveWithinMs: 200,
};
createHub({ limits: false, documents }).attach(server);
listen(server);
