// The hub with an agent endpoint whose answers never end. BURST is how many chunks a model's connection brings at once,
// WATCHERS=each sends every chunk to every watcher by itself.
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createAgentHandler, registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { listen } from '../control/listen.mjs';

const BURST = Number(process.env.BURST ?? 1);
/** As often in a second as text that is rolled up leaves. */
const PAUSE_MS = 25;

/** Pieces of a tool's input, which are not rolled up: every one is a chunk. */
async function* onRequest({ signal }) {
  while (!signal.aborted) {
    await delay(PAUSE_MS);
    for (let piece = 0; piece < BURST; piece += 1) {
      yield { type: 'tool-input-delta', toolCallId: 'call-1', inputTextDelta: ' token' };
    }
  }
}

const handler = createAgentHandler({ onRequest, graceMs: 0 });
const { onConnect } = handler;
if (process.env.WATCHERS === 'each') {
  handler.onConnect = (ws, request) => {
    ws.join = undefined;
    return onConnect(ws, request);
  };
}
registerHandler(handler);
const server = http.createServer();
createHub({ limits: false }).attach(server);
listen(server);
