// The client that the package ships, and a hub that remembers: what it is given when it comes back, and what becomes of
// what it has sent.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, afterEach, before, describe } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { broadcastSteps, broadcastStepsToClient } from '../../js/index.js';
import { ChaosProxy, CUTS } from '../support/chaos-proxy.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { RecordedClient } from '../support/recorded-client.mjs';

let server;
let proxy;
let clients = [];

before(async () => {
  server = await HubServer.start({ recoveryWindowMs: 60_000, historyMaxMessages: 100 });
  proxy = await ChaosProxy.start(server.port);
});

after(async () => {
  await proxy?.close();
  await server?.close();
});

afterEach(() => {
  proxy.plan = () => ({});
  proxy.hubPort = server.port;
  for (const client of clients.splice(0)) client.close();
  server.dropClients();
});

function make(documentId, options = {}) {
  const url = `${options.base ?? proxy.base}/ws/fabric`;
  const { base, ...rest } = options;
  const client = new RecordedClient({ url, documentId, clientID: uniqueId('client'), ...rest });
  clients.push(client);
  return client;
}

async function connected(documentId, options) {
  const client = make(documentId, options);
  client.connect();
  await client.saw('connected');
  return client;
}

/** Cuts the client's connection; until `letIn` it comes back to nobody. */
async function shutOut(client, how = 'RST') {
  proxy.hubPort = 1;
  proxy.linkOf(client.clientID ?? '')?.cut(how);
  proxy.cutAll(how);
  await until('the client to notice', () => client.status.state !== 'open', { everyMs: 5 });
}

function letIn() {
  proxy.hubPort = server.port;
}

const updates = (client) => client.messages('update').map(({ update }) => update);

describe('a client that comes back', () => {
  for (const how of CUTS) {
    test(`is given what it missed after ${how}, in order, before anything newer`, async () => {
      const documentId = uniqueId();
      const client = await connected(documentId, { silenceMs: 50, answerTimeoutMs: 1500 });
      const other = await server.connect(documentId);
      other.send({ type: 'update', documentId, update: 'before' });
      await client.received('update');
      await shutOut(client, how);
      for (let number = 1; number <= 5; number += 1) other.send({ type: 'update', documentId, update: number });
      await other.synced(documentId);
      await broadcastSteps(documentId, [{ of: 'the agent' }], 'change');
      letIn();
      const { from, to } = await client.saw('recovered');
      assert.deepEqual([from, to], [1, 7]);
      other.send({ type: 'update', documentId, update: 'after' });
      await client.received('update', 7);
      assert.deepEqual(updates(client), ['before', 1, 2, 3, 4, 5, 'after']);
      assert.equal(client.messages('steps')[0].offset, 7);
      assert.deepEqual(client.all('reload'), []);
      const order = client.record.map(([event, detail]) => detail.offset ?? event).filter((each) => each !== 'status');
      const tail = order.slice(order.indexOf('recovered')).filter((each) => each === 'recovered' || each > 0);
      assert.deepEqual(tail, ['recovered', 2, 3, 4, 5, 6, 7, 8]);
    });
  }

  test('is given what it missed though it had seen nothing before', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    other.send({ type: 'update', documentId, update: 'first' });
    await other.synced(documentId);
    letIn();
    await client.received('update');
    assert.deepEqual(client.all('recovered'), [{ from: 0, to: 1 }]);
  });

  test('is given what was for it alone, not what was for another, and nothing of its own', async () => {
    const documentId = uniqueId();
    const clientID = uniqueId('client');
    const client = await connected(documentId, { clientID });
    const other = await server.connect(documentId);
    client.send('update', 'own');
    await other.receivedAll('update', 1);
    await shutOut(client);
    await broadcastStepsToClient(documentId, clientID, [], 'for it');
    await broadcastStepsToClient(documentId, 'somebody', [], 'for another');
    await broadcastSteps(documentId, [], 'for all');
    letIn();
    const steps = await client.received('steps', 2);
    assert.deepEqual(
      steps.map(({ changeId, offset }) => [changeId, offset]),
      [
        ['for it', 2],
        ['for all', 4],
      ],
    );
    assert.deepEqual(updates(client), []);
  });

  test('that is cut again in the middle of what it missed, at any byte, gets each message once', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    const wanted = Array.from({ length: 50 }, (_, number) => `${number} ${'x'.repeat(number)}`);
    for (const update of wanted) other.send({ type: 'update', documentId, update });
    await other.synced(documentId);
    let bytes = 300;
    proxy.plan = () => ({ afterDown: (bytes += 77), how: CUTS[bytes % 2] });
    letIn();
    await client.received('update', wanted.length);
    assert.deepEqual(updates(client), wanted);
    assert.ok(client.all('recovered').length > 5, `${client.all('recovered').length} times`);
    assert.deepEqual(client.all('reload'), []);
  });

  test('that only writes is not told to reload for its own messages', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    for (let number = 0; number < 150; number += 1) client.send('update', number);
    await until('the acknowledgement', () => client.unacknowledged === 0);
    proxy.cutAll('RST');
    const { to } = await client.saw('recovered');
    assert.equal(to, 150, 'and no more than 100 are remembered');
  });

  test('sees where the others are, who have not moved meanwhile', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    for (const awareness of [1, 2]) other.send({ type: 'awareness', documentId, awareness });
    await other.synced(documentId);
    letIn();
    await client.saw('recovered');
    const [{ awareness }] = await client.received('awareness');
    assert.equal(awareness, 2);
  });

  test('by another connect() after close() is given what it missed, too', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    client.close();
    other.send({ type: 'update', documentId, update: 'meanwhile' });
    await other.synced(documentId);
    client.connect();
    await client.received('update');
    assert.equal(client.all('recovered').length, 1);
  });
});

describe('a client that has to reload', () => {
  test('is told so when more was missed than is remembered, and gets none of it', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    for (let number = 0; number <= 100; number += 1) other.send({ type: 'update', documentId, update: number });
    await other.synced(documentId);
    letIn();
    const { reason, certain, unacknowledged } = await client.saw('reload');
    assert.deepEqual([reason, certain, unacknowledged], ['HISTORY_GONE', true, []]);
    other.send({ type: 'update', documentId, update: 'newer' });
    await client.received('update');
    assert.deepEqual(updates(client), ['newer']);
  });

  test('is told so after a restart, and comes back by its new token after that', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    await shutOut(client);
    client.send('update', 'typed meanwhile');
    await server.close();
    server = await HubServer.start({ recoveryWindowMs: 60_000, historyMaxMessages: 100 });
    letIn();
    const { reason, certain, unacknowledged } = await client.saw('reload');
    assert.deepEqual([reason, certain], ['OTHER_EPOCH', false]);
    assert.deepEqual(unacknowledged, [{ type: 'update', documentId, update: 'typed meanwhile' }]);
    assert.equal(client.unacknowledged, 0);
    const other = await server.connect(documentId);
    client.send('update', 'typed after it');
    const [first] = await other.receivedAll('update', 1);
    assert.equal(first.update, 'typed after it', 'nothing of before is sent by itself');
    proxy.cutAll('RST');
    await client.saw('recovered');
    client.send('update', 'last');
    await other.receivedAll('update', 2);
  });

  test('may send in the handler of `reload` what it was given back, in whatever order', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    for (let number = 0; number <= 100; number += 1) other.send({ type: 'update', documentId, update: number });
    await other.synced(documentId);
    for (const update of ['a', 'b']) client.send('update', update);
    client.on('reload', ({ unacknowledged }) => {
      for (const { update } of unacknowledged.reverse()) client.send('update', update);
    });
    letIn();
    await other.receivedAll('update', 2);
    assert.deepEqual(
      other.all('update').map(({ update }) => update),
      ['b', 'a'],
    );
    await until('the acknowledgement', () => client.unacknowledged === 0);
  });

  test('is told so where the hub remembers nothing', async () => {
    const forgetful = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(forgetful, 'listening');
    try {
      forgetful.on('connection', (socket) => socket.send('{"type":"connected"}'));
      const client = await connected(uniqueId(), { base: `ws://127.0.0.1:${forgetful.address().port}` });
      client.send('update', 'sent');
      assert.equal(client.unacknowledged, 0, 'nobody will ever acknowledge it');
      for (const socket of forgetful.clients) socket.close(1012);
      const { reason, certain } = await client.saw('reload');
      assert.deepEqual([reason, certain], ['RECOVERY_OFF', false]);
    } finally {
      for (const socket of forgetful.clients) socket.terminate();
      forgetful.close();
    }
  });

  /** A server that lies; answers the requests it got. */
  async function liar(lie) {
    const requests = [];
    const base = await new Promise((resolve) => {
      const lying = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () =>
        resolve(`ws://127.0.0.1:${lying.address().port}`),
      );
      lying.on('connection', (socket, { url }) => {
        requests.push(new URL(url, 'ws://localhost').searchParams);
        const say = (message) => socket.send(JSON.stringify(message));
        say({ type: 'connected', token: 't', epoch: 'e', offset: 5 });
        lie(requests.length, say, socket);
      });
      after(() => {
        for (const socket of lying.clients) socket.terminate();
        lying.close();
      });
    });
    return { base, requests };
  }

  for (const [what, lie] of Object.entries({
    'gives an offset twice': (say) => [6, 6].map((offset) => say({ type: 'update', update: offset, offset })),
    'goes back': (say) => [8, 7].map((offset) => say({ type: 'update', update: offset, offset })),
    'gives what is no offset': (say) => say({ type: 'update', update: 1, offset: 'six' }),
    'begins with one that was there': (say) => say({ type: 'update', update: 5, offset: 5 }),
  })) {
    test(`takes nothing from a hub that ${what}`, async () => {
      const { base, requests } = await liar((number, say) => number === 1 && lie(say));
      const client = make(uniqueId(), { base });
      client.connect();
      assert.equal((await client.saw('reload')).reason, 'OFFSETS_OUT_OF_ORDER');
      assert.equal(requests[1].get('token'), null, 'it does not ask for what it cannot check');
      assert.ok(client.all('message').length <= 1);
    });
  }

  for (const [what, verdict] of Object.entries({
    'from another offset': { type: 'recovered', from: 4, to: 5, upTo: 0 },
    'without having said so': { type: 'update', update: 6, offset: 6 },
  })) {
    test(`takes nothing from a hub that recovers ${what}`, async () => {
      const { base, requests } = await liar((number, say, socket) => {
        if (number === 1) socket.close(1012);
        if (number === 2) {
          say(verdict);
          say({ type: 'update', update: 'wrong', offset: 7 });
        }
      });
      const client = make(uniqueId(), { base });
      client.connect();
      await client.saw('reload');
      assert.deepEqual(client.all('recovered'), []);
      assert.deepEqual(updates(client), []);
      assert.deepEqual([requests[1].get('token'), requests[2].get('token')], ['t', null]);
    });
  }
});

describe('what a client has sent', () => {
  test('is acknowledged, and then not kept', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    client.send('update', 1);
    client.send('steps', [], 0);
    client.send('awareness', 1);
    assert.equal(client.unacknowledged, 2);
    await client.saw('acknowledged');
    assert.equal(client.unacknowledged, 0);
    assert.deepEqual(client.all('message'), [], 'nobody is bothered with it');
  });

  for (const how of CUTS) {
    test(`is published once and in order, wherever its way ends by ${how}`, async () => {
      const documentId = uniqueId();
      const other = await server.connect(documentId);
      let bytes = 500;
      // Each connection a little longer than the one before, so that every message is cut somewhere.
      proxy.plan = () => ({ afterUp: (bytes += 61), how });
      const client = make(documentId, { silenceMs: 30, answerTimeoutMs: 100 });
      client.connect();
      const sent = Array.from({ length: 40 }, (_, number) => number);
      for (const number of sent) {
        client.send('update', number);
        await new Promise((done) => setTimeout(done, 5));
      }
      await until('the acknowledgement', () => client.unacknowledged === 0, { timeoutMs: 30_000 });
      await other.synced(documentId);
      assert.deepEqual(
        other.all('update').map(({ update }) => update),
        sent,
      );
      assert.deepEqual(client.all('reload'), []);
      assert.ok(proxy.done[how] > 0);
    });
  }

  test('while it was away is sent when it is back, and of cursors the newest', async () => {
    const documentId = uniqueId();
    const client = await connected(documentId);
    const other = await server.connect(documentId);
    await shutOut(client);
    for (const number of [1, 2, 3]) {
      client.send('update', number);
      client.send('selection', number);
    }
    letIn();
    await other.receivedAll('selection', 1);
    assert.deepEqual(
      other.messages.slice(1).map((message) => message.update ?? message.selection),
      [1, 2, 3, 3],
    );
    await until('the acknowledgement', () => client.unacknowledged === 0);
  });

  test('and was refused is not asked for over and over', async () => {
    const documentId = uniqueId();
    let asked = 0;
    class Counting extends WebSocket {
      send(text) {
        if (text.includes('"ack"')) asked += 1;
        super.send(text);
      }
    }
    const client = await connected(documentId, { WebSocket: Counting });
    client.send('steps', [], 'no number');
    assert.equal((await client.received('error'))[0].code, 'BAD_SHAPE');
    await new Promise((done) => setTimeout(done, 2000));
    assert.equal(asked, 1);
    assert.equal(client.unacknowledged, 1);
    client.send('update', 'good');
    await until('the acknowledgement', () => client.unacknowledged === 0);
  });

  test('waits for as long as the hub says that it reads no more', async () => {
    const texts = [];
    const strict = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(strict, 'listening');
    try {
      strict.on('connection', (socket) => {
        socket.send('{"type":"connected","token":"t","epoch":"e","offset":0}');
        socket.on('message', (data) => {
          texts.push(JSON.parse(data.toString()));
          if (texts.length === 1) socket.send('{"type":"error","code":"RATE_LIMITED","retryInMs":1000}');
        });
      });
      const client = await connected(uniqueId(), { base: `ws://127.0.0.1:${strict.address().port}` });
      client.send('update', 'a');
      await client.received('error');
      client.send('update', 'b');
      assert.equal(client.unacknowledged, 2);
      assert.equal(texts.length, 1, 'nothing is sent meanwhile');
      await until('both', () => texts.filter(({ type }) => type === 'update').length === 2);
      const told = texts.filter(({ type }) => type === 'update').map(({ update, id }) => [update, id]);
      assert.deepEqual(told, [
        ['a', 1],
        ['b', 2],
      ]);
    } finally {
      for (const socket of strict.clients) socket.terminate();
      strict.close();
    }
  });
});
