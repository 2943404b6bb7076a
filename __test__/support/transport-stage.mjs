// What the tests of the chat transport begin with: an endpoint, a stretch of network to it, and what reads an answer.
import { after, afterEach, before, beforeEach } from 'node:test';
import { AbstractChat } from 'ai';
import WebSocket from 'ws';
import { AgentChatTransport } from '../../js/agent-client.mjs';
import { createAgentHandler } from '../../js/agent.js';
import { AgentServer, Wire } from './agent-server.mjs';

class Stage {
  /** What the endpoint answers with; each test sets it. */
  onRequest;
  server;
  wire;
  transports = [];

  handler() {
    return createAgentHandler({
      path: '/ws/transport',
      onRequest: (request) => this.onRequest(request),
      authorize: ({ threadId }) => !threadId.startsWith('forbidden'),
      onError: () => {},
      graceMs: 60_000,
      rollUpMs: 2,
    });
  }

  /** The server as after a new start of its process, at the same port. */
  async restart() {
    await this.server.close();
    this.server = await AgentServer.start(this.handler(), { port: this.server.port });
  }
}

const stage = new Stage();

/** Sets the stage for the tests of a file, which has one. */
export function useStage() {
  before(async () => {
    stage.server = await AgentServer.start(stage.handler());
    stage.wire = await Wire.lay(stage.server.port);
  });
  after(async () => {
    await stage.wire.close();
    await stage.server.close();
  });
  beforeEach(() => stage.wire.up());
  afterEach(() => {
    for (const transport of stage.transports.splice(0)) transport.close();
  });
  return stage;
}

/** What a page keeps across a reload. */
export class Storage extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => this.set(key, value);
  removeItem = (key) => this.delete(key);
}

export function transportOf(options = {}) {
  const url = `http://127.0.0.1:${stage.wire.port}/ws/transport`;
  const transport = new AgentChatTransport({ url, WebSocket, longestRetryMs: 30, storage: new Storage(), ...options });
  stage.transports.push(transport);
  return transport;
}

export const question = { id: 'q', role: 'user', parts: [{ type: 'text', text: 'hi' }] };

export function send(transport, chatId, more = {}) {
  return transport.sendMessages({
    chatId,
    messages: [question],
    trigger: 'submit-message',
    messageId: undefined,
    ...more,
  });
}

export async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export const textOf = (chunks) => chunks.map((chunk) => chunk.delta ?? '').join('');

/** The chunks of an answer as streamText writes them. */
export async function* answer(pieces, { pause = () => undefined } = {}) {
  yield* [{ type: 'start', messageId: 'answer' }, { type: 'start-step' }, { type: 'text-start', id: 't' }];
  for (const delta of pieces) {
    yield { type: 'text-delta', id: 't', delta };
    await pause();
  }
  yield* [{ type: 'text-end', id: 't' }, { type: 'finish-step' }, { type: 'finish' }];
}

/** A chat without React around it. */
export class Chat extends AbstractChat {
  constructor(id, transport, options = {}) {
    const state = {
      status: 'ready',
      error: undefined,
      messages: [],
      pushMessage: (message) => state.messages.push(message),
      popMessage: () => state.messages.pop(),
      replaceMessage: (index, message) => (state.messages[index] = message),
      snapshot: (value) => structuredClone(value),
    };
    super({ id, transport, state, ...options });
  }

  get text() {
    return (this.lastMessage?.role === 'assistant' ? this.lastMessage.parts : [])
      .map((part) => part.text ?? '')
      .join('');
  }
}
