// Connections that are cut in the middle of a stream, again and again: the text that arrives is the model's, byte by byte.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before, describe } from 'node:test';
import WebSocket from 'ws';
import { createAgentHandler } from '../../js/agent.js';
import { AgentServer, piecesOf, randomOf, Wire } from '../support/agent-server.mjs';
import { freshThread } from '../support/fake-socket.mjs';

let server;
const errors = [];
/** Model texts by their stream, and a promise of each one's end. */
const written = new Map();

/** A model whose text, sizes and pauses follow from the seed in `data`. */
async function* model({ streamId, data, signal }) {
  const random = randomOf(data.seed);
  const pieces = piecesOf(random, data.pieces);
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  written.set(streamId, { text: pieces.join(''), end });
  yield { type: 'start', messageId: streamId };
  for (const piece of pieces) {
    if (signal.aborted) return;
    const pause = random();
    if (pause < 0.05) await new Promise((resolve) => setTimeout(resolve, 3));
    else if (pause < 0.3) await new Promise((resolve) => setImmediate(resolve));
    yield { type: 'text-delta', id: 't', delta: piece };
  }
  yield { type: 'finish' };
  ended();
}

before(async () => {
  const onError = (error) => errors.push(error);
  server = await AgentServer.start(createAgentHandler({ path: '/ws/cuts', onRequest: model, onError, rollUpMs: 4 }));
});
after(() => server.close());

/**
 * Reads one stream over a wire that is cut after random numbers of bytes, coming back each time with what it has.
 * It is strict: a chunk out of its order fails.
 */
async function readWithCuts(seed, { cuts, pieces }) {
  const random = randomOf(seed ^ 0x5eed);
  const wire = await Wire.lay(server.port);
  const threadId = freshThread();
  const streamId = `stream-${seed}`;
  const state = { seq: 0, text: '', asked: false, ended: undefined, connections: 0 };
  try {
    while (!state.ended) {
      if (state.connections < cuts) wire.cutAfter(150 + Math.floor(random() ** 2 * 4000));
      else wire.cutAfter(Infinity);
      if (state.connections === cuts && random() < 0.5) await written.get(streamId)?.end; // it ends while nobody is there
      await readOn(`ws://127.0.0.1:${wire.port}/ws/cuts?threadId=${threadId}`, streamId, state, { seed, pieces });
      state.connections += 1;
    }
  } finally {
    await wire.close();
  }
  return state;
}

async function readOn(url, streamId, state, data) {
  const ws = new WebSocket(url);
  ws.on('error', () => {});
  ws.on('message', (raw) => {
    const message = JSON.parse(raw);
    if (message.type === 'connected') {
      const known = message.streams.some((stream) => stream.streamId === streamId);
      if (!known) ws.send(JSON.stringify({ type: 'stream', streamId, data }));
      else ws.send(JSON.stringify({ type: 'recover', streamId, seq: state.seq }));
    } else if (message.type === 'chunk') {
      assert.equal(message.seq, state.seq + 1, 'a chunk is missing or came twice');
      state.seq = message.seq;
      if (message.chunk.type === 'text-delta') state.text += message.chunk.delta;
    } else if (message.type !== 'started') {
      state.ended = message;
      ws.close();
    }
  });
  await once(ws, 'close');
}

describe('a connection that is cut in the middle of a stream', () => {
  let connections = 0;
  for (let seed = 1; seed <= 30; seed += 1) {
    test(`with seed ${seed} the text is whole`, { timeout: 60_000 }, async () => {
      const state = await readWithCuts(seed, { cuts: 5 + (seed % 20), pieces: 1500 });
      const { text } = written.get(`stream-${seed}`);
      assert.deepEqual([state.ended.type, state.ended.seq], ['done', state.seq]);
      assert.ok(Buffer.from(state.text).equals(Buffer.from(text)), `${state.text.length} of ${text.length} characters`);
      connections += state.connections;
    });
  }

  test('there were enough cuts to mean something', () => {
    assert.ok(connections > 200, `${connections} connections`);
    assert.deepEqual(errors, []);
  });
});
