// The hub with an agent endpoint whose answers never end: a hundred tokens a second each.
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createAgentHandler } from '../../js/agent.js';
import { registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { listen } from '../control/listen.mjs';

const TOKEN_MS = 10;

async function* onRequest({ signal }) {
  yield { type: 'text-start', id: 'text' };
  while (!signal.aborted) {
    await delay(TOKEN_MS);
    yield { type: 'text-delta', id: 'text', delta: ' token' };
  }
}

registerHandler(createAgentHandler({ onRequest, graceMs: 0 }));
const server = http.createServer();
createHub({ limits: false }).attach(server);
listen(server);
