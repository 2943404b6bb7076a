// The client that the package ships, where there is no server: sockets that the test makes, and places without what it needs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test, { describe } from 'node:test';
import { FabricClient } from '../../js/client.js';

describe('a client whose process stood still while it waited for an answer', { timeout: 20_000 }, () => {
  test('reads the answer that lies in its socket before it judges', async () => {
    const sockets = [];
    class Late {
      constructor() {
        sockets.push(this);
        queueMicrotask(() => this.onmessage({ data: '{"type":"connected"}' }));
      }
      send() {
        // The process stands still from here to long after the time for an answer, which is there when it goes on.
        const end = performance.now() + 400;
        setTimeout(() => {
          while (performance.now() < end);
          setTimeout(() => this.onmessage?.({ data: '{"type":"synced"}' }), 5);
        });
      }
      close() {}
    }
    const options = { url: 'ws://x/', documentId: 'd', clientID: 'c', WebSocket: Late };
    const client = new FabricClient({ ...options, silenceMs: 20, answerTimeoutMs: 50 });
    client.connect();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    client.close();
    assert.equal(sockets.length, 1);
  });
});

test('a client whose socket cannot be made when it comes back tries on', async () => {
  let made = 0;
  class Throwing {
    constructor() {
      made += 1;
      if (made === 2 || made === 3) throw new Error('not now');
      queueMicrotask(() =>
        made === 1 ? this.onclose({ code: 1006, reason: '' }) : this.onmessage({ data: CONNECTED }),
      );
    }
    send() {}
    close() {}
  }
  const CONNECTED = '{"type":"connected"}';
  const client = new FabricClient({
    ...{ url: 'ws://x/', documentId: 'd', clientID: 'c', WebSocket: Throwing, firstWaitMs: 1, longestWaitMs: 2 },
  });
  const reasons = [];
  client.on('status', ({ reason }) => reason && reasons.push(reason));
  const isOpen = new Promise((resolve) => client.on('connected', resolve));
  client.connect();
  await isOpen;
  client.close();
  assert.equal(made, 4);
  assert.ok(reasons.some((reason) => reason.includes('not now')));
});

test('a client says before a change is made whether it is short enough to be sent', () => {
  const client = new FabricClient({
    ...{ url: 'ws://x/', documentId: 'd', clientID: 'c', WebSocket: class {}, maxMessageBytes: 200 },
  });
  assert.equal(client.fits('update', 'x'.repeat(50)), true);
  assert.equal(client.fits('update', 'x'.repeat(200)), false);
  assert.equal(client.fits('steps', ['ü'.repeat(100)], 1), false);
});

test('loads where there is no TextEncoder, no crypto and no page, as test runners have it', () => {
  const script = `
    for (const name of ['TextEncoder', 'crypto', 'WebSocket', 'ReadableStream']) delete globalThis[name];
    globalThis.window = globalThis.self = globalThis;
    globalThis.document = { visibilityState: 'visible' };
    globalThis.location = { href: 'http://localhost/' };
    const { FabricClient } = require('./js/client.js');
    const WebSocket = class { close() {} send() {} };
    const client = new FabricClient({ documentId: 'd', clientID: 'c', WebSocket });
    client.connect();
    if (!client.send('update', 'x')) throw new Error('not taken');
    client.close();
    import('./js/agent-client.mjs').then(({ AgentChatTransport }) => new AgentChatTransport({ WebSocket, storage: null }));
  `;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], {
    cwd: new URL('../..', import.meta.url),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});
