// What the tests of agent handlers begin with: a script that answers, a thread nobody has used, and time of their own.
import { afterEach, beforeEach, mock } from 'node:test';
import { createAgentHandler } from '../../js/agent.js';
import { connect, freshThread, Script, settle } from './fake-socket.mjs';

/** What the handlers of {@link handlerOf} answer with, what their onError was told, and the thread of the test. */
export let script;
export let errors;
export let threadId;

/** A new script and thread, as each test has them at its beginning. */
export function renew() {
  script = new Script();
  errors = [];
  threadId = freshThread();
}

/** Sets the stage before each test of a file. */
export function useStage() {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    renew();
  });
  afterEach(() => mock.timers.reset());
}

export function handlerOf(options = {}) {
  return createAgentHandler({ onRequest: script.onRequest, onError: (...args) => errors.push(args), ...options });
}

/** A handler, a client of it, and a stream named 's' that the script writes. */
export async function streaming(options) {
  const handler = handlerOf(options);
  const client = await connect(handler, threadId);
  client.say({ type: 'stream', threadId, streamId: 's', data: { prompt: 'hi' } });
  await settle();
  return { handler, client };
}

export const tick = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};
