// How often the package's client shows what is true now: a mouse must cost neither side more than eyes can see.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { CUTS } from '../support/chaos-proxy.mjs';
import { begin, greet, startActor, startHub, startProxy } from '../support/client-stage.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

describe('the client', () => {
  /** An open client with its own options, and the messages of a type that a server got from it. */
  async function shows(options, type = 'awareness') {
    const got = [];
    const base = await startActor((socket) => {
      socket.on('message', (text) => got.push(JSON.parse(text)));
      greet(socket);
    });
    const client = begin(base, options);
    await client.saw('connected');
    return { client, got, of: () => got.filter((message) => message.type === type).map((message) => message[type]) };
  }

  test('shows a mouse that moves 480 times a second about 30 times, the last place always', async () => {
    const { client, of, got } = await shows({});
    const began = performance.now();
    let number = 0;
    // A second, and longer where the process stood still for most of it.
    for (let turns = 0; turns < 40 || performance.now() - began < 1000; turns += 1) {
      for (; number < (performance.now() - began) * 0.48; number += 1)
        assert.equal(client.send('awareness', number), true);
      client.send('update', number);
      await new Promise((done) => setTimeout(done, 4));
    }
    const took = performance.now() - began;
    await until('the last place', () => of().at(-1) === number - 1);
    assert.ok(of().length <= took / 33 + 2, `${of().length} messages in ${took} ms`);
    assert.ok(of().length >= 5, `${of().length} messages`);
    assert.deepEqual(
      of(),
      of().toSorted((one, other) => one - other),
      'in their order',
    );
    assert.ok(got.filter(({ type }) => type === 'update').length > 20, 'what is history is not held back');
  });

  test('sends the first at once, and holds back each type by itself', async () => {
    const { client, got } = await shows({ showEveryMs: 60_000 });
    for (const number of [1, 2]) for (const type of ['awareness', 'selection']) client.send(type, number);
    client.send('update', 'now');
    client.send('sync', 'a');
    client.send('sync', 'b');
    await until('what is not held back', () => got.length === 5);
    const told = got.map(({ type, ...message }) => [type, message[type] ?? message.stateVector]);
    assert.deepEqual(told, [
      ['awareness', 1],
      ['selection', 1],
      ['update', 'now'],
      ['sync', 'a'],
      ['sync', 'b'],
    ]);
  });

  test('says what it holds back before it closes, the newest', async () => {
    const { client, of } = await shows({ showEveryMs: 60_000 }, 'selection');
    for (const number of [1, 2, 3, null]) client.send('selection', number);
    client.close();
    await until('the last', () => of().length === 2);
    assert.deepEqual(of(), [1, null]);
  });

  test('says what it holds back when its page goes', async (t) => {
    const page = new EventTarget();
    for (const name of ['addEventListener', 'removeEventListener']) {
      globalThis[name] = page[name].bind(page);
      t.after(() => delete globalThis[name]);
    }
    const { client, of } = await shows({ showEveryMs: 60_000 });
    for (const number of [1, 2, 3]) client.send('awareness', number);
    page.dispatchEvent(new Event('pagehide'));
    await until('the last', () => of().length === 2);
    assert.deepEqual(of(), [1, 3]);
    page.dispatchEvent(new Event('pagehide'));
    client.close();
    page.dispatchEvent(new Event('pagehide'));
    assert.deepEqual(of(), [1, 3]);
  });

  test('keeps what it holds back over a lost connection, and sends it after what is history', async () => {
    const proxy = await startProxy(await startHub());
    const documentId = uniqueId();
    const client = begin(proxy, { documentId, showEveryMs: 200 });
    await client.saw('connected');
    const other = begin(proxy.base.replace(/\/$/, ''), { documentId });
    await other.saw('connected');
    client.send('awareness', 1);
    client.send('awareness', 2);
    proxy.cutAll(CUTS[0]);
    client.send('update', 'u');
    client.send('awareness', 3);
    await until('the newest', () => other.messages('awareness').at(-1)?.awareness === 3);
    assert.ok(!other.messages('awareness').some(({ awareness }) => awareness === 2));
  });
});
