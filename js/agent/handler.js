'use strict';

const { isId, parse, refusal } = require('./messages.js');
const { agentOptions } = require('./options.js');
const { Parts } = require('./parts.js');
const { stateOf } = require('./threads.js');

const OPEN = 1;
const TRY_AGAIN_LATER = 1013;

/** The WebSocketHandler that streams agents' answers; see agent.d.ts. */
function createAgentHandler(options) {
  const checked = agentOptions(options);
  const { path, authorize, graceMs } = checked;
  const { threads, threadOf } = stateOf(path);
  const partsOf = new WeakMap();
  /** Where other processes have to be asked: the message after waits for the one before. */
  const turns = new WeakMap();

  async function onConnect(ws, request) {
    const threadId = new URL(request.url, 'http://localhost').searchParams.get('threadId');
    if (!isId(threadId)) {
      ws.close(1003, threadId ? 'Invalid threadId' : 'Missing threadId');
      return;
    }
    ws.threadId = threadId;
    if (authorize) {
      const isAllowed = await authorize({ threadId, userId: ws.userId, request });
      if (isAllowed !== true) {
        ws.close(4403, 'Forbidden');
        return;
      }
    }
    // It may have gone while authorize was asked; then onClose has been, or never finds a thread.
    if (ws.readyState !== OPEN) return;
    const thread = threads.open(threadId, checked);
    threadOf.set(ws, thread);
    let isSure = true;
    if (thread.elsewhere) {
      isSure = await thread.arrive();
      // It is told so by `onClose`, which comes after this.
      if (ws.readyState !== OPEN) return;
    }
    thread.join(ws, isSure);
    // Not every socket tells: then each chunk asks it.
    ws.on?.('slow', (room) => thread.slow(ws, room));
    ws.send(thread.connected);
  }

  function onMessage(ws, payload) {
    const thread = threadOf.get(ws);
    if (!thread) return undefined;
    const before = turns.get(ws);
    const askedAt = performance.now();
    const act = () => take(ws, thread, payload, askedAt);
    const answer = before ? before.then(act, act) : act();
    if (answer === undefined) return undefined;
    const turn = thread.during(answer);
    turns.set(ws, turn);
    const done = () => {
      if (turns.get(ws) === turn) turns.delete(ws);
    };
    turn.then(done, done);
    return turn;
  }

  function take(ws, thread, payload, askedAt) {
    const { threadId } = thread;
    let message = parse(payload, threadId);
    if (message.type === 'part') {
      if (!partsOf.has(ws)) partsOf.set(ws, new Parts());
      const whole = partsOf.get(ws).add(message, checked.maxRequestBytes);
      if (whole === null) return undefined;
      message =
        whole === undefined ? { code: 'REQUEST_TOO_LARGE', streamId: message.streamId } : parse(whole, threadId);
      // What is put together is a message, and no part of another one.
      if (message.type === 'part') message = { code: 'BAD_SHAPE', streamId: message.streamId };
    }
    const { streamId } = message;
    const refuse = (code) => {
      if (code) ws.send(refusal(code, { threadId, streamId, seq: message.seq }));
    };
    const code = message.code ?? ACTIONS[message.type](ws, thread, { ...message, askedAt }, checked, threads);
    if (typeof code?.then === 'function') return code.then(refuse);
    refuse(code);
    return undefined;
  }

  function onClose(ws) {
    const thread = threadOf.get(ws);
    threadOf.delete(ws);
    thread?.leave(ws, graceMs);
  }

  function onError(ws, error) {
    return checked.onError(error, { threadId: ws.threadId, streamId: undefined, userId: ws.userId });
  }

  return { path, onConnect, onMessage, onClose, onError };
}

/** What each type of message does; they answer the code to refuse it with, or a promise of it. */
const ACTIONS = {
  /** Browsers show no pings: a client that hears nothing for long asks whether anybody is there. */
  ping(ws, { threadId }) {
    ws.send(JSON.stringify({ type: 'pong', threadId }));
  },

  stream(ws, thread, { streamId, data }, options, threads) {
    const known = streamId === undefined ? undefined : thread.streams.get(streamId);
    if (known) return again(ws, known);
    if (!threads.hasRoom(thread, options)) return 'TOO_MANY_STREAMS';
    const asked = { userId: ws.userId, data };
    // Nobody else can have asked for one that has its name of the hub.
    if (streamId !== undefined && thread.elsewhere) {
      return claim(ws, thread, { streamId, ...asked }, options, threads);
    }
    thread.start({ streamId: streamId ?? crypto.randomUUID(), ...asked }, options);
    return undefined;
  },

  abort(ws, thread, message) {
    return withStream(ws, thread, message, (stream) => {
      const follows = stream.isFollowedBy(ws);
      stream.abort();
      // Whoever asks learns that it is over, also one who did not read it, or asks a second time.
      if (!follows) stream.whenOver((end) => ws.send(end));
    });
  },

  recover(ws, thread, message) {
    const { seq, askedAt } = message;
    return withStream(ws, thread, message, (stream) => {
      // It has begun while the question waited for other processes.
      if (stream.hasGreeted(ws, askedAt)) return undefined;
      if (!stream.isRecoverable(seq)) return 'UNRECOVERABLE';
      if (ws.readyState === OPEN) stream.follow(ws, seq);
      return undefined;
    });
  },
};

/** Acts on a stream of the thread, wherever it runs. */
function withStream(ws, thread, { streamId, askedAt }, act) {
  const stream = thread.streams.get(streamId);
  if (stream) return act(stream);
  return thread.elsewhere ? seek(ws, thread, { streamId, askedAt }, act) : 'UNKNOWN_STREAM';
}

async function seek(ws, thread, { streamId, askedAt }, act) {
  const isKnown = await thread.elsewhere.find(streamId, askedAt);
  const stream = thread.streams.get(streamId);
  if (stream) return act(stream);
  return isKnown ? 'UNKNOWN_STREAM' : comeBack(ws);
}

/** What a client asks for may run where nobody can be asked now. */
function comeBack(ws) {
  ws.close(TRY_AGAIN_LATER, 'Another process does not answer');
}

/** Starts a stream here, unless a client of another process has asked for it: it is answered once. */
async function claim(ws, thread, asked, options, threads) {
  const { running, isKnown } = await thread.elsewhere.claim(asked.streamId);
  const known = running ?? thread.streams.get(asked.streamId);
  if (known) return again(ws, known);
  if (!isKnown) return comeBack(ws);
  if (!threads.hasRoom(thread, options)) {
    thread.elsewhere?.release(asked.streamId);
    return 'TOO_MANY_STREAMS';
  }
  thread.start(asked, options);
  return undefined;
}

/** A client that was cut off right after it asked asks once more: it must not get a second answer. */
function again(ws, stream) {
  if (stream.isFollowedBy(ws)) return undefined;
  if (!stream.isRecoverable(0)) return 'UNRECOVERABLE';
  // It may have gone while other processes were asked.
  if (ws.readyState === OPEN) stream.follow(ws, 0);
  return undefined;
}

module.exports = { createAgentHandler };
