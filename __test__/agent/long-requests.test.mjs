// Requests that are longer than the hub takes in one message, such as those with pictures.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import http from 'node:http';
import WebSocket from 'ws';
import { AgentChatTransport } from '../../js/agent-client.mjs';
import { createAgentHandler } from '../../js/agent.js';
import { registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';

let url;
let server;
let hub;
before(async () => {
  registerHandler(
    createAgentHandler({
      path: '/ws/long',
      maxRequestBytes: 6 * 1024 * 1024,
      async *onRequest({ data }) {
        yield JSON.stringify([data.messages[0].text.length, data.messages[0].text.slice(-3)]);
      },
    }),
  );
  hub = createHub({ logLevel: 'off', onSecurityEvent() {} });
  server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `ws://127.0.0.1:${server.address().port}/ws/long`;
});
after(async () => {
  await hub.close();
  server.close();
});

const ask = async (transport, text) => {
  const stream = await transport.sendMessages({ chatId: 't', messages: [{ text }], trigger: 'submit-message' });
  let answer = '';
  for await (const { delta } of stream) answer += delta ?? '';
  return JSON.parse(answer);
};

for (const [what, text] of [
  ['a picture of 3 MB', `${'A'.repeat(3_000_000)}end`],
  ['text that is cut between the halves of a character', `${'😀'.repeat(400_000)}end`],
  ['quotes and control characters', `${'"\\\u0001'.repeat(90_000)}end`],
  ['a little', 'end'],
]) {
  test(`a request with ${what} is answered, and so is the next one`, { timeout: 20_000 }, async () => {
    const transport = new AgentChatTransport({ url, WebSocket, storage: null });
    assert.deepEqual(await ask(transport, text), [text.length, 'end']);
    assert.deepEqual(await ask(transport, 'xyz'), [3, 'xyz']);
    transport.close();
  });
}

test('a request over maxRequestBytes is refused, and the next one answered', { timeout: 20_000 }, async () => {
  const transport = new AgentChatTransport({ url, WebSocket, storage: null });
  await assert.rejects(ask(transport, 'A'.repeat(7 * 1024 * 1024)), { code: 'REQUEST_TOO_LARGE' });
  assert.deepEqual(await ask(transport, 'xyz'), [3, 'xyz']);
  transport.close();
});

test('parts that are out of order, or hold parts, are refused', { timeout: 20_000 }, async () => {
  const ws = new WebSocket(`${url}?threadId=raw`);
  await once(ws, 'message');
  for (const [part, code] of [
    [{ index: 1, count: 2, text: 'x' }, 'REQUEST_TOO_LARGE'],
    [{ index: 2, count: 2, text: 'x' }, 'BAD_SHAPE'],
    [{ index: 0, count: 1, text: '{"type":"part","streamId":"s","index":0,"count":1,"text":""}' }, 'BAD_SHAPE'],
    [{ index: 0, count: 1, text: 'no JSON' }, 'BAD_JSON'],
  ]) {
    ws.send(JSON.stringify({ type: 'part', streamId: 's', ...part }));
    const [answer] = await once(ws, 'message');
    assert.equal(JSON.parse(answer).code, code);
  }
  ws.terminate();
});
