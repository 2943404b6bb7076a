// The README's agent sample, as it stands there, on every major version of the AI SDK that the peer range admits.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { AgentChatTransport } from '../../js/agent-client.mjs';
import { createAgentHandler } from '../../js/agent.js';
import { registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';

const readme = fs.readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const sample = /export const agentHandler = (createAgentHandler\([^]*?\n\}\));\n```/.exec(readme)[1];

let server;
let hub;
before(async () => {
  hub = createHub({ logLevel: 'off', onSecurityEvent() {} });
  server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(async () => {
  await hub.close();
  server.close();
});

for (const [name, specification] of [
  ['ai', 2],
  ['ai6', 3],
  ['ai7', 4],
]) {
  test(`${name}: a question is answered by the sample, and the chat is ready`, { timeout: 20_000 }, async () => {
    const { AbstractChat, convertToModelMessages, streamText } = await import(name);
    const { [`MockLanguageModelV${specification}`]: Model } = await import(`${name}/test`);
    const isOld = specification === 2;
    const parts = [
      { type: 'stream-start', warnings: [] },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'Hello' },
      { type: 'text-end', id: 't' },
      {
        type: 'finish',
        finishReason: isOld ? 'stop' : { unified: 'stop', raw: 'stop' },
        usage: { inputTokens: isOld ? 1 : { total: 1 }, outputTokens: isOld ? 1 : { total: 1 }, totalTokens: 2 },
      },
    ];
    const model = new Model({ doStream: async () => ({ stream: ReadableStream.from(parts) }) });
    const errors = [];
    const onPath = (options) =>
      createAgentHandler({ ...options, path: `/ws/${name}`, onError: (error) => errors.push(error) });
    const names = ['createAgentHandler', 'convertToModelMessages', 'streamText', 'model'];
    registerHandler(new Function(...names, `return ${sample}`)(onPath, convertToModelMessages, streamText, model));

    const state = {
      status: 'ready',
      messages: [],
      pushMessage: (message) => state.messages.push(message),
      popMessage: () => state.messages.pop(),
      replaceMessage: (index, message) => (state.messages[index] = message),
      snapshot: (value) => structuredClone(value),
    };
    class Chat extends AbstractChat {}
    const url = `ws://127.0.0.1:${server.address().port}/ws/${name}`;
    const transport = new AgentChatTransport({ url, WebSocket, storage: null });
    const chat = new Chat({ id: name, transport, state });
    await chat.sendMessage({ text: 'hi' });
    assert.deepEqual(errors, []);
    const text = chat.messages
      .at(-1)
      .parts.map((part) => part.text ?? '')
      .join('');
    assert.deepEqual([chat.status, text], ['ready', 'Hello']);
    transport.close();
  });
}

for (const name of ['ai', 'ai6', 'ai7']) {
  test(
    `${name}: a question asked while resume waits is answered in the order of states`,
    { timeout: 20_000 },
    async () => {
      const { AbstractChat } = await import(name);
      registerHandler(
        createAgentHandler({
          path: `/ws/order-${name}`,
          async *onRequest() {
            yield 'a ';
            await new Promise((resolve) => setTimeout(resolve, 200));
            yield 'b';
          },
        }),
      );
      const statuses = [];
      const state = {
        messages: [],
        set status(status) {
          if (status !== statuses.at(-1)) statuses.push(status);
        },
        get status() {
          return statuses.at(-1) ?? 'ready';
        },
        pushMessage: (message) => state.messages.push(message),
        popMessage: () => state.messages.pop(),
        replaceMessage: (index, message) => (state.messages[index] = message),
        snapshot: (value) => structuredClone(value),
      };
      class Chat extends AbstractChat {}
      const url = `ws://127.0.0.1:${server.address().port}/ws/order-${name}`;
      const transport = new AgentChatTransport({ url, WebSocket, storage: null });
      const chat = new Chat({ id: 'order', transport, state });
      await Promise.all([chat.resumeStream(), chat.sendMessage({ text: 'hi' })]);
      assert.deepEqual(statuses, ['submitted', 'streaming', 'ready']);
      assert.equal(
        state.messages
          .at(-1)
          .parts.map((part) => part.text ?? '')
          .join(''),
        'a b',
      );
      transport.close();
    },
  );
}
