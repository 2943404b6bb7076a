// Clients that do not read, over real sockets: what piles up, and what the others see.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { createAgentHandler } from '../../js/agent.js';
import { AgentServer } from '../support/agent-server.mjs';
import { freshThread } from '../support/fake-socket.mjs';
import { until } from '../support/processes.mjs';

const PIECE = 'x'.repeat(64 * 1024);
const PIECES = 600;
/** What the kernel's buffers of both ends may hold on loopback, and the hub's. */
const IN_BETWEEN = 16 * 1024 * 1024;

let server;
let written = 0;

before(async () => {
  async function* onRequest({ signal }) {
    written = 0;
    for (let count = 0; count < PIECES && !signal.aborted; count += 1) {
      written += 1;
      yield { type: 'piece', piece: PIECE };
    }
  }
  server = await AgentServer.start(createAgentHandler({ path: '/ws/slow', onRequest, slowWatcherMs: 5000 }));
});
after(() => server.close());

async function connect(threadId) {
  const ws = new WebSocket(`${server.url}?threadId=${threadId}`);
  const client = { ws, seq: 0, last: undefined };
  ws.on('message', (raw) => {
    client.last = JSON.parse(raw);
    if (client.last.type !== 'chunk') return;
    assert.equal(client.last.seq, client.seq + 1);
    client.seq = client.last.seq;
  });
  await once(ws, 'message');
  return client;
}

test(
  'a client that does not read holds the stream up for a while, and then no longer',
  { timeout: 60_000 },
  async () => {
    const threadId = freshThread();
    const [fast, slow] = [await connect(threadId), await connect(threadId)];
    slow.ws.pause();
    fast.ws.send(JSON.stringify({ type: 'stream', streamId: 's', data: null }));

    await until('the stream to begin', () => fast.seq > 0);
    let before;
    await until('the producer to stand still', () => written === before || ((before = written), false), {
      everyMs: 300,
    });
    assert.ok(written * PIECE.length < IN_BETWEEN, `${written} pieces were written for a client that does not read`);

    await until('the others to get it all', () => fast.last.type === 'done', { timeoutMs: 30_000 });
    assert.equal(fast.seq, PIECES);
    assert.equal(slow.ws.readyState, WebSocket.OPEN, 'nobody is cut off for being slow');

    slow.ws.resume();
    await until('the slow one to be told', () => slow.last.type === 'error');
    assert.deepEqual([slow.last.code, slow.last.streamId], ['UNRECOVERABLE', 's']);
    for (const { ws } of [fast, slow]) ws.terminate();
  },
);

test('a client that reads late, but in time, gets everything', { timeout: 60_000 }, async () => {
  const client = await connect(freshThread());
  const pauses = setInterval(() => {
    client.ws.pause();
    setTimeout(() => client.ws.resume(), 40);
  }, 50);
  client.ws.send(JSON.stringify({ type: 'stream', data: null }));
  await until('all of it', () => client.last.type === 'done', { timeoutMs: 30_000 });
  clearInterval(pauses);
  assert.equal(client.seq, PIECES);
  client.ws.terminate();
});
