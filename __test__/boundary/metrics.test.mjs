// Every metric moves by what it is said to count.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import {
  broadcastSteps,
  connections,
  disconnectConnection,
  metrics,
  metricsText,
  publish,
  registerHandler,
  saveDocument,
  submitSteps,
} from '../../js/index.js';
import { createAdminRoute } from '../../js/admin.js';
import { createAgentHandler } from '../../js/agent.js';
import { recordingHandler } from '../support/handlers.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { moved, moves, value } from '../support/metrics.mjs';
import { until } from '../support/processes.mjs';
import { apply, storePath, word } from '../support/text-documents.mjs';
import { FabricClient } from '../support/fabric-client.mjs';

let server;
/** What the app's hooks do. */
const app = { access: async () => 'write', save: async () => {} };
const cleanings = [];

before(async () => {
  server = await HubServer.start({
    maxOutboxBytes: 64 * 1024,
    limits: false,
    access: (about) => app.access(about),
    documents: {
      kind: (documentId) => (documentId.startsWith('steps') ? 'steps' : 'relay'),
      store: await storePath({ after: (clean) => cleanings.push(clean) }),
      apply,
      save: (about) => app.save(about),
      saveAfterMs: 20,
    },
  });
});
after(async () => {
  await server.close();
  for (const clean of cleanings) await clean();
});

const update = (documentId, text = 'x') => ({ type: 'update', documentId, update: text });

async function two() {
  const documentId = uniqueId();
  return [documentId, await server.connect(documentId, 'a'), await server.connect(documentId, 'b')];
}

test('connections, documents and members are counted as they come and go', async () => {
  const fabric = { endpoint: 'fabric' };
  const relay = { kind: 'relay' };
  const now = [
    ['hub_connections', fabric],
    ['hub_documents', relay],
    ['hub_members', relay],
  ];
  const [, a, b] = await moves([...now, ['hub_connections_opened_total', fabric], 'hub_documents_remembered'], two);
  await moves([['hub_connections_closed_total', { code: '1000', by: 'client' }]], () => a.close());
  await moves(
    now,
    () => b.close(),
    (after, before) => after < before,
  );
});

test('a client that goes without a word is counted as 1006, and one that the hub sends away by its code', async () => {
  const [documentId, a, b] = await two();
  await moves([['hub_connections_closed_total', { code: '1006', by: 'client' }]], () => a.drop());
  const listed = await connections({ filter: { document: documentId } });
  await moves([['hub_connections_closed_total', { code: '4403', by: 'hub' }]], async () => {
    assert.equal(await disconnectConnection(listed.connections.find(({ clientId }) => clientId === 'b').id), true);
    assert.deepEqual(await b.closing(), { code: 4403, reason: 'Forbidden' });
  });
});

test('what clients send and are sent is counted in messages and bytes, and in deliveries', async () => {
  const [documentId, a, b] = await two();
  const c = await server.connect(documentId, 'c');
  const fabric = { endpoint: 'fabric' };
  const counted = ['received_messages', 'received_bytes', 'sent_messages', 'sent_bytes', 'deliveries'];
  const names = counted.map((name) => [`hub_${name}_total`, fabric]);
  const before = names.map((of) => value(...of));
  await moves([...names, 'hub_batch_messages', 'hub_history_bytes', 'hub_history_used_ratio'], async () => {
    for (let index = 0; index < 10; index += 1) a.send(update(documentId, `${index}`));
    await Promise.all([b, c].map((client) => client.receivedAll('update', 10)));
  });
  const [messages, , sent, , deliveries] = names.map((of, index) => value(...of) - before[index]);
  assert.deepEqual([messages, sent, deliveries], [10, 20, 20]);
  await moves(['hub_deliveries_total'], () => broadcastSteps(documentId, [1], 'change'));
  assert.equal(value('hub_history_limit_bytes'), 64 * 1024 * 1024);
});

test('what waits for a client that does not read is seen, and that it is closed', async () => {
  const documentId = uniqueId();
  const raw = await server.raw();
  await raw.open(documentId, 'stalled');
  raw.socket.pause();
  let messages = 0;
  const pour = async (isEnough) => {
    while (!isEnough()) {
      if ((messages += 1) > 5000) throw new Error('it was never enough');
      await broadcastSteps(documentId, ['x'.repeat(20_000)], 'change');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const waits = () => value('hub_waiting_bytes') > 0;
  await moves(['hub_waiting_bytes', 'hub_waiting_connections'], async () => {
    const big = ['x'.repeat(16_000_000)];
    await broadcastSteps(documentId, big, 'change');
    await until('bytes to wait', waits);
  });
  const { connections: slow } = await connections({ sort: 'waiting', filter: { slow: true } });
  assert.equal(slow[0].document, documentId);
  assert.ok(slow[0].waitingBytes > 100_000);
  await moves(['hub_slow_closes_total', ['hub_security_events_total', { code: 'TOO_SLOW' }]], async () => {
    await pour(() => value('hub_security_events_total', { code: 'TOO_SLOW' }) > 0);
    raw.socket.destroy();
  });
  assert.ok(value('hub_connections_closed_total', { code: '1013', by: 'hub' }) > 0);
});

test('who is refused is counted by status or code, and in the security events', async () => {
  const refused = async (target, options) => {
    const client = new FabricClient(`${server.base}${target}`, options);
    await until('the refusal', () => client.closed);
  };
  await moves(
    [
      ['hub_refused_total', { code: '403' }],
      ['hub_security_events_total', { code: 'ORIGIN_REFUSED' }],
    ],
    () => refused('/ws/fabric?documentId=d&clientID=c', { origin: 'http://elsewhere' }),
  );
  await moves([['hub_refused_total', { code: '1003' }]], () => refused('/ws/fabric'));
  await moves([['hub_refused_total', { code: '4403' }]], async () => {
    app.access = async () => false;
    await refused('/ws/fabric?documentId=d&clientID=c');
    app.access = async () => 'write';
  });
});

test('what is done on the admin page is counted, and not as an attack', async () => {
  const { POST } = createAdminRoute({ authorize: () => true });
  const headers = { host: 'app.example', origin: 'https://app.example', 'content-type': 'application/json' };
  const body = JSON.stringify({ action: 'disconnectUser', userId: 'nobody' });
  const attacks = () => metrics().find(({ name }) => name === 'hub_security_events_total').values;
  const before = attacks();
  await moves(['hub_admin_actions_total'], async () => {
    const { status } = await POST(new Request('https://app.example/admin', { method: 'POST', headers, body }));
    assert.equal(status, 200);
  });
  assert.deepEqual(attacks(), before);
});

test('upgrades that wait for the app are seen, and how long that takes', async () => {
  let decide;
  app.access = () => new Promise((resolve) => (decide = resolve));
  let joining;
  await moves(['hub_upgrades_waiting'], () => void (joining = server.connect(uniqueId())));
  await moves(['hub_admission_seconds'], async () => {
    decide('write');
    await joining;
  });
  assert.equal(value('hub_upgrades_waiting'), 0);
  app.access = async () => 'write';
});

test('clients that come back are counted by what became of them', async () => {
  const [documentId, a, b] = await two();
  const { token, epoch, offset } = a.messages[0];
  a.drop();
  b.send(update(documentId));
  const target = (at) =>
    `/ws/fabric?${new URLSearchParams({ documentId, clientID: 'a', token, epoch, offset, ...at })}`;
  await moves([['hub_recoveries_total', { outcome: 'RECOVERED' }]], () =>
    server.open(target()).received(({ type }) => type === 'recovered'),
  );
  await moves([['hub_recoveries_total', { outcome: 'OTHER_EPOCH' }]], () =>
    server.open(target({ epoch: '0'.repeat(16) })).received(({ type }) => type === 'reload'),
  );
});

test('calls of handlers, how long they hold up their thread, and what they send', async () => {
  const { path, called, sockets } = recordingHandler({
    onMessage(ws, message) {
      if (String(message) === 'throw') throw new Error('meant for the log');
      const until = performance.now() + 30;
      while (performance.now() < until);
      ws.send('{}');
    },
  });
  const client = await moves(
    [
      ['hub_handler_call_seconds', { callback: 'onConnect' }],
      ['hub_connections', { endpoint: 'handler' }],
    ],
    async () => {
      const opened = server.open(path);
      await called('onConnect');
      return opened;
    },
  );
  const spread = () =>
    metrics()
      .find(({ name }) => name === 'hub_handler_call_seconds')
      .values.find(({ labels }) => labels.callback === 'onMessage');
  const before = spread();
  await moves(
    [
      ['hub_handler_call_seconds', { callback: 'onMessage' }],
      ['hub_sent_messages_total', { endpoint: 'handler' }],
      ['hub_sent_bytes_total', { endpoint: 'handler' }],
      ['hub_received_messages_total', { endpoint: 'handler' }],
    ],
    async () => {
      client.socket.send('work');
      await called('onMessage');
    },
  );
  const tookSeconds = spread().sum - before.sum;
  assert.ok(tookSeconds >= 0.03 && tookSeconds < 5, `${tookSeconds}`);
  await moves(['hub_handler_failures_total', ['hub_handler_call_seconds', { callback: 'onError' }]], () =>
    client.socket.send('throw'),
  );
  await moves([['hub_deliveries_total', { endpoint: 'handler' }]], async () => {
    sockets[0].join('room');
    await publish(path, 'room', '{}');
  });
  await moves([['hub_handler_call_seconds', { callback: 'onClose' }]], () => client.socket.close());
});

test('how long Node takes to come when it is rung, and how late the clocks of threads are', async () => {
  const sum = () => metrics().find(({ name }) => name === 'hub_event_loop_delay_seconds').values[0].sum;
  const before = sum();
  await moves(['hub_event_loop_delay_seconds', 'hub_thread_delay_seconds'], async () => {
    const until = performance.now() + 1500;
    while (performance.now() < until);
  });
  assert.ok(sum() - before > 0.2, `${sum() - before}`);
});

test('streams of agents, while they run and once they have ended', async () => {
  let finish;
  const path = `/ws/${uniqueId('agent')}`;
  registerHandler(
    createAgentHandler({
      path,
      async *onRequest({ data }) {
        yield 'a';
        await new Promise((resolve) => (finish = resolve));
        if (data === 'fail') throw new Error('meant for the log');
      },
      onError() {},
    }),
  );
  const client = server.open(`${path}?threadId=thread`);
  await client.received(({ type }) => type === 'connected');
  for (const [data, outcome] of [
    ['end', 'done'],
    ['fail', 'error'],
  ]) {
    await moves(['hub_agent_streams'], async () => {
      client.send({ type: 'stream', threadId: 'thread', data });
      await until('the stream to begin', () => finish);
    });
    await moves([['hub_agent_streams_ended_total', { outcome }]], () => {
      finish();
      finish = undefined;
    });
  }
});

test('the store: commits, how long they take, bytes, and what waits for the disk', async () => {
  const documentId = uniqueId('steps');
  const stored = ['commits_total', 'commit_seconds', 'written_bytes_total', 'file_bytes'];
  await moves(
    stored.map((name) => `hub_store_${name}`),
    () => submitSteps(documentId, { version: 0, steps: Array.from({ length: 900 }, () => word('x'.repeat(1000))) }),
  );
  const all = Array.from({ length: 50 }, () =>
    submitSteps(uniqueId('steps'), { version: 0, steps: [word('x'.repeat(100_000))] }),
  );
  await until('bytes to wait', () => value('hub_store_waiting_bytes') > 0, { everyMs: 0 });
  moved.add('hub_store_waiting_bytes');
  await Promise.all(all);
});

test('documents that are not saved, and saves that fail', async () => {
  await until('everything to be saved', () => value('hub_documents_unsaved') === 0);
  const documentId = uniqueId('steps');
  let fails = true;
  app.save = async () => {
    if (fails) throw new Error('meant for the log');
  };
  await moves(['hub_documents_unsaved', ['hub_saves_total', { outcome: 'error' }], 'hub_save_seconds'], () =>
    submitSteps(documentId, { version: 0, steps: [word('x')] }),
  );
  await assert.rejects(saveDocument(documentId), { code: 'HUB_UNAVAILABLE', message: /meant for the log/ });
  fails = false;
  await moves([['hub_saves_total', { outcome: 'done' }]], async () => {
    assert.equal(await saveDocument(documentId), 'saved');
  });
  await until('nothing to be unsaved', () => value('hub_documents_unsaved') === 0);
  assert.equal(await saveDocument(documentId), 'nothing');
});

test('every other metric was moved, and the text has the same as the object', async () => {
  const all = metrics().map(({ name }) => name);
  const text = metricsText();
  for (const name of all) assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'));
  assert.equal(text.match(/^# TYPE /gm).length, all.length);
  assert.ok(all.every((name) => /^hub_[a-z_]+$/.test(name)) && new Set(all).size === all.length);
  assert.equal(value('hub_threads') > 0, true);
  const closing = server.hub.close({ timeoutMs: 2000 });
  assert.equal(value('hub_ready'), 0);
  await closing;
  const constant = ['hub_build_info', 'hub_threads', 'hub_ready', 'hub_history_limit_bytes'];
  assert.deepEqual(
    all.filter((name) => !moved.has(name) && !constant.includes(name)),
    [],
  );
});
