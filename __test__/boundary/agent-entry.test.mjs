// Where createAgentHandler is imported from: an entry of its own, and, as long as apps still do so, the package's main one.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import { createAgentHandler as deprecated, registerHandler } from '@captify-io/hub';
import * as agentFace from '@captify-io/hub/agent';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { runProgram } from '../support/programs.mjs';

const require = createRequire(import.meta.url);

test('ES modules and CommonJS get the same function of the agent entry', () => {
  const required = require('@captify-io/hub/agent');
  assert.deepEqual(Object.keys(required), ['createAgentHandler']);
  assert.equal(agentFace.createAgentHandler, required.createAgentHandler);
});

for (const [name, createAgentHandler] of Object.entries({
  'the agent entry': agentFace.createAgentHandler,
  'the main entry, as before': deprecated,
})) {
  test(`a handler made by ${name} streams`, async (t) => {
    const server = await HubServer.start();
    t.after(() => server.close());
    const path = `/ws/${uniqueId('agent')}`;
    async function* onRequest({ data }) {
      yield { said: data };
    }
    registerHandler(createAgentHandler({ path, onRequest }));
    const client = server.open(`${path}?threadId=thread`);
    await client.received(({ type }) => type === 'connected');
    client.socket.send(JSON.stringify({ type: 'stream', data: 'hello' }));
    const { chunk } = await client.received(({ type }) => type === 'chunk');
    assert.deepEqual(chunk, { said: 'hello' });
  });
}

test('the deprecated function checks its options where a hub can run', () => {
  assert.throws(() => deprecated({ onRequest: 'none' }), { name: 'HubError', code: 'HUB_INVALID_ARGUMENT' });
});

test('where no hub can run the deprecated function makes a handler, which says what to import when it is called', async () => {
  const { code, output } = await runProgram(
    'a build that evaluates a route',
    `
    import { createAgentHandler, registerHandler } from '@captify-io/hub';
    const handler = createAgentHandler({ path: '/ws/chat', onRequest() {} });
    registerHandler(handler);
    console.log(handler.path);
    for (const name of ['onConnect', 'onMessage', 'onClose', 'onError']) {
      try {
        handler[name]({});
      } catch (error) {
        console.log(error.name, error.code, error.message.includes("from '@captify-io/hub/agent'"));
      }
    }
    console.log(createAgentHandler({}).path);
  `,
  );
  const each = 'HubError HUB_NOT_RUNNING true\n';
  assert.deepEqual([code, output], [0, `/ws/chat\n${each.repeat(4)}/ws/agent\n`]);
});
