// What code of the app's may throw, and from where: it reaches onError, and the process lives.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { Handlers } from '../../js/hub/handlers.js';
import { runProgram } from '../support/programs.mjs';

/**
 * A program whose handler has `callbacks`. Its client sends one message, waits for what the fault does, and leaves; a
 * second client then shows that the endpoint still serves.
 */
const program = (callbacks) => `
  import { once } from 'node:events';
  import WebSocket from 'ws';
  import { registerHandler } from '@captify-io/hub';
  import { HubServer } from './__test__/support/hub-server.mjs';
  const bare = Object.create(null);
  const nothing = { onConnect() {}, onMessage() {}, onClose() {}, onError() {} };
  const calls = [];
  let isFirst = true;
  registerHandler({
    path: '/ws/x',
    ...Object.fromEntries(Object.entries({ ...nothing, ...${callbacks} }).map(
      ([name, callback]) => [name, (ws, ...rest) => {
        calls.push(name === 'onError' ? 'onError ' + rest[0].message : name);
        return isFirst ? callback(ws, ...rest) : undefined;
      }],
    )),
  });
  const server = await HubServer.start();
  const turn = () => new Promise((resolve) => setTimeout(resolve, 50));
  const open = async () => {
    const client = new WebSocket(server.base + '/ws/x');
    client.on('error', () => {});
    const closed = once(client, 'close');
    await once(client, 'open');
    return { client, closed };
  };
  const { client, closed } = await open();
  client.send('1');
  await turn();
  client.close();
  console.log('code', (await closed)[0]);
  await turn();
  console.log(calls.join(', '));
  isFirst = false;
  const next = await open();
  next.client.close();
  await next.closed;
  const began = performance.now();
  await server.close();
  console.log('ended', performance.now() - began < 1500);
`;

const CASES = [
  ['onMessage throws what has no text', '{ onMessage() { throw bare; } }'],
  ['onMessage rejects with what has no text', '{ async onMessage() { throw bare; } }'],
  ['onMessage throws an error whose stack throws', '{ onMessage() { throw { get stack() { throw bare; } }; } }'],
  ['onConnect throws what has no text', '{ onConnect() { throw bare; } }', 1011],
  ['onConnect answers what throws when asked', '{ onConnect() { return { get then() { throw bare; } }; } }', 1011],
  ['onConnect answers a promise that throws', '{ onConnect() { return { then() { throw bare; } }; } }', 1011],
  [
    'onConnect settles twice',
    '{ onConnect() { return { then(yes, no) { yes(); no(bare); throw bare; } }; } }',
    1005,
    0,
  ],
  ['onClose answers a promise that throws', '{ onClose() { return { then() { throw bare; } }; } }'],
  ['onError throws too', '{ onMessage() { throw bare; }, onError() { throw bare; } }'],
  ['onError rejects too', '{ onMessage() { throw bare; }, async onError() { throw bare; } }'],
  ['a callback of send throws', "{ onMessage(ws) { ws.send('x', () => { throw bare; }); } }"],
  ['a callback of send rejects', "{ onMessage(ws) { ws.send('x', async () => { throw bare; }); } }"],
  ['a callback of ping throws', "{ onMessage(ws) { ws.ping('x', false, () => { throw bare; }); } }"],
  [
    'a callback of send throws, of a connection that is closed',
    "{ onClose(ws) { ws.send('x', () => { throw bare; }); } }",
  ],
  ["a listener of 'message' throws", "{ onConnect(ws) { ws.on('message', () => { throw bare; }); } }"],
  ["a listener of 'message' rejects", "{ onConnect(ws) { ws.on('message', async () => { throw bare; }); } }"],
  ["a listener of 'close' rejects", "{ onConnect(ws) { ws.on('close', async () => { throw bare; }); } }"],
  [
    "a listener of 'error' rejects",
    "{ onConnect(ws) { ws.on('error', async () => { throw bare; }); }, onMessage() { throw bare; } }",
  ],
];

describe('a fault reaches onError once, and harms nobody', () => {
  for (const [name, callbacks, expected = 1005, times = 1] of CASES) {
    test(name, async () => {
      const { code, output } = await runProgram(name, program(callbacks));
      assert.equal(code, 0, output);
      const [closed, calls, ended] = output.trim().split('\n');
      assert.equal(closed, `code ${expected}`, output);
      assert.equal(ended, 'ended true', output);
      const names = calls.split(', ');
      assert.equal(names.filter((call) => call === 'onClose').length, 1, calls);
      const errors = names.filter((call) => call.startsWith('onError'));
      assert.deepEqual(errors, Array(times).fill('onError a handler threw something that has no text'), calls);
    });
  }
});

describe('what has come cannot be taken', () => {
  /** A native side whose `take` throws so often, and then gives nothing. */
  function failing(times) {
    const native = { taken: 0, flush() {} };
    native.take = () => {
      native.taken += 1;
      if (native.taken <= times) throw Object.create(null);
      return [false];
    };
    return native;
  }

  test('nothing is thrown, and it is tried again until it works', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const native = failing(2);
    const handlers = new Handlers(native, false);
    assert.equal(handlers.dispatch(), false);
    for (const taken of [2, 3, 3]) {
      t.mock.timers.tick(1000);
      assert.equal(native.taken, taken);
    }
  });

  test('a hub that closes does not wait for it, and asks no more', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const native = failing(Infinity);
    const handlers = new Handlers(native, false);
    await handlers.finish(0);
    t.mock.timers.tick(10_000);
    assert.equal(native.taken, 1);
  });
});
