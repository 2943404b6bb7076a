// Many watchers of one stream over a real hub: a chunk is published once, and everybody gets everything once.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before, beforeEach } from 'node:test';
import WebSocket from 'ws';
import { createAgentHandler } from '../../js/index.js';
import { AgentServer, piecesOf, randomOf } from '../support/agent-server.mjs';
import { freshThread, Script } from '../support/fake-socket.mjs';
import { until } from '../support/processes.mjs';

const WATCHERS = 30;

let server;
let script;
/** What was sent to sockets by themselves, on the hub's side. */
let sent = [];
/** Sockets on the hub's side, in the order they came. */
let sockets = [];

before(async () => {
  const handler = createAgentHandler({
    path: '/ws/watched',
    onRequest: (request) => script.onRequest(request),
    rollUpMs: 0,
    maxBufferedBytes: 64 * 1024,
    maxHistoryBytes: 16 * 1024 * 1024,
    slowWatcherMs: 10_000,
  });
  const { onConnect } = handler;
  handler.onConnect = (ws, request) => {
    const { send } = ws;
    ws.send = (text) => {
      sent.push(JSON.parse(text));
      return send.call(ws, text);
    };
    sockets.push(ws);
    return onConnect(ws, request);
  };
  server = await AgentServer.start(handler);
});
after(() => server.close());
beforeEach(() => {
  script = new Script();
  sent = [];
  sockets = [];
});

/** A client that keeps what it gets of each stream, which must come in its order. */
class Watcher {
  connected;
  ends = [];
  /** Stream id to the text of its chunks, and to the last number. */
  texts = new Map();
  seqs = new Map();

  static async open(threadId) {
    const watcher = new Watcher();
    watcher.ws = new WebSocket(`${server.url}?threadId=${threadId}`);
    watcher.ws.on('message', (raw) => watcher.#take(JSON.parse(raw)));
    await once(watcher.ws, 'message');
    return watcher;
  }

  #take(message) {
    const { type, streamId, seq } = message;
    if (type === 'connected') this.connected = message;
    if (type === 'done' || type === 'error') this.ends.push(message);
    if (type !== 'chunk') return;
    // Whoever asks from 0 is given all of it anew.
    if (seq === 1) this.seqs.delete(streamId);
    if (seq === 1) this.texts.delete(streamId);
    assert.equal(seq, (this.seqs.get(streamId) ?? 0) + 1, 'a gap, or twice');
    this.seqs.set(streamId, seq);
    this.texts.set(streamId, (this.texts.get(streamId) ?? '') + message.chunk);
  }

  say(message) {
    this.ws.send(JSON.stringify(message));
  }
}

const has = (watcher, seq) => until(`chunk ${seq}`, () => (watcher.seqs.get('s') ?? 0) >= seq, { everyMs: 2 });
const end = (watchers) => {
  for (const { ws } of watchers) ws.terminate();
  return until('everybody to be gone', () => server.count === 0);
};

test('a chunk is published once and sent to nobody by itself, and so is the end', { timeout: 30_000 }, async () => {
  const threadId = freshThread();
  const watchers = await Promise.all(Array.from({ length: WATCHERS }, () => Watcher.open(threadId)));
  watchers[0].say({ type: 'stream', streamId: 's', data: null });
  script.write('one ', 'two ');
  await Promise.all(watchers.map((watcher) => has(watcher, 2)));
  script.write('three');
  script.end();
  await until('the end', () => watchers.every(({ ends }) => ends.length === 1));
  for (const watcher of watchers) {
    assert.equal(watcher.texts.get('s'), 'one two three');
    assert.deepEqual(watcher.ends, [{ type: 'done', threadId, streamId: 's', seq: 3 }]);
  }
  const alone = sent.filter(({ type }) => type !== 'connected' && type !== 'started');
  assert.deepEqual(alone, []);
  // Nobody stays in a room of a stream that is over.
  assert.ok(sockets.every((ws) => Array.from({ length: 1000 }, (_, room) => ws.join(`room ${room}`)).every(Boolean)));
  await end(watchers);
});

test('who comes and goes in the middle of a stream gets everything once', { timeout: 60_000 }, async () => {
  const threadId = freshThread();
  const random = randomOf(11);
  const pieces = piecesOf(random, 600);
  const text = pieces.join('');
  const stays = await Watcher.open(threadId);
  stays.say({ type: 'stream', streamId: 's', data: null });
  const watchers = [stays];
  const left = [];
  while (pieces.length > 0) {
    script.write(...pieces.splice(0, 1 + Math.floor(random() * 8)));
    if (random() < 0.3) {
      const watcher = await Watcher.open(threadId);
      watcher.say({ type: 'recover', streamId: 's', seq: 0 });
      watchers.push(watcher);
    }
    if (random() < 0.1 && watchers.length > 2) {
      const [gone] = watchers.splice(1 + Math.floor(random() * (watchers.length - 1)), 1);
      gone.ws.terminate();
      left.push(gone);
    }
    // One that is at the front asks anew.
    if (random() < 0.1) stays.say({ type: 'recover', streamId: 's', seq: 0 });
    if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  script.end();
  await until('the end', () => watchers.every(({ ends }) => ends.length > 0));
  for (const watcher of watchers) assert.equal(watcher.texts.get('s'), text);
  assert.ok(watchers.length > 10, 'some came');
  for (const gone of left) assert.ok(text.startsWith(gone.texts.get('s') ?? ''), 'who went has had a beginning of it');
  await end(watchers);
});

test(
  'one that does not read for a while is waited for, and then goes on with the others',
  { timeout: 60_000 },
  async () => {
    const threadId = freshThread();
    const watchers = await Promise.all(Array.from({ length: 5 }, () => Watcher.open(threadId)));
    const [slow] = watchers;
    slow.say({ type: 'stream', streamId: 's', data: null });
    const piece = 'x'.repeat(64 * 1024);
    let written = 0;
    const write = (count) => {
      written += count;
      script.write(...Array(count).fill(piece));
    };
    write(2);
    await Promise.all(watchers.map((watcher) => has(watcher, 2)));
    slow.ws.pause();
    write(400);
    let read;
    await until('the producer to stand still', () => script.read === read || ((read = script.read), false), {
      everyMs: 200,
    });
    assert.ok(script.read < written, 'it was waited for');
    assert.ok(sockets[0].bufferedAmount < 2 * 1024 * 1024, `${sockets[0].bufferedAmount} bytes were sent to it`);
    slow.ws.resume();
    await Promise.all(watchers.map((watcher) => has(watcher, written)));
    // Its socket has room again: it is with the others as soon as those have the same.
    script.write('x');
    await Promise.all(watchers.map((watcher) => has(watcher, written + 1)));
    script.write('y');
    await Promise.all(watchers.map((watcher) => has(watcher, written + 2)));
    sent = [];
    script.write('z');
    script.end();
    await until('the end', () => watchers.every(({ ends }) => ends.length === 1));
    for (const { seqs } of watchers) assert.equal(seqs.get('s'), written + 3);
    assert.deepEqual(sent, []);
    await end(watchers);
  },
);
