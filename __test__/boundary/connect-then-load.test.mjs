// The order in which docs/client.md says to connect and to load, by the code that stands there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { begin, make, startHub, startProxy } from '../support/client-stage.mjs';
import { chapter } from '../support/documents.mjs';
import { uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

const [, code] = /```js\n([^]*?)```/.exec(chapter('docs/client.md', '## Connect, then load'));
const { keepInStep } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

/**
 * An app's store: `add` stores an update and then publishes it, as the documents say; `load` answers what is stored once it
 * is let go on, so that a test can publish meanwhile.
 */
class Store {
  stored = [];
  loads = [];

  load = () => {
    const answer = [...this.stored];
    return new Promise((resolve, reject) => this.loads.push({ answer: () => resolve(answer), fail: reject }));
  };

  async add(author, update) {
    this.stored.push(update);
    author.send('update', update);
    await until('the update to be published', () => author.unacknowledged === 0, { everyMs: 5 });
  }
}

/** A client that is kept in step; updates are numbers, so applying one again shows. */
function follow(client, store) {
  const shown = { updates: new Set(), begun: [] };
  keepInStep(client, {
    load: store.load,
    begin(stored, reload) {
      shown.updates = new Set(stored);
      shown.begun.push(reload);
    },
    apply: (message) => message.type === 'update' && shown.updates.add(message.update),
  });
  return shown;
}

const loading = (store, count) => until(`load ${count}`, () => store.loads.length >= count, { everyMs: 5 });
const shows = (shown, updates) =>
  until(
    () => `${updates}; it shows ${[...shown.updates]}`,
    () => shown.begun.length > 0 && [...shown.updates].join() === updates.join(),
    { everyMs: 5 },
  );

test('what is published while the document is loaded is in it', async () => {
  const server = await startHub();
  const [documentId, store] = [uniqueId(), new Store()];
  const author = begin(server, { documentId });
  await store.add(author, 1);
  const shown = follow(make(server, { documentId }), store);
  await loading(store, 1);
  await store.add(author, 2);
  assert.equal(shown.begun.length, 0, 'nothing is shown before it is loaded');
  store.loads[0].answer();
  await shows(shown, [1, 2]);
  await store.add(author, 3);
  await shows(shown, [1, 2, 3]);
});

test('a load that fails is tried again, and loses nothing', async () => {
  const server = await startHub();
  const [documentId, store] = [uniqueId(), new Store()];
  const author = begin(server, { documentId });
  const shown = follow(make(server, { documentId }), store);
  await loading(store, 1);
  await store.add(author, 1);
  store.loads[0].fail(new Error('the database is away'));
  await loading(store, 2);
  await store.add(author, 2);
  store.loads[1].answer();
  await shows(shown, [1, 2]);
});

test('after a reload the document is loaded anew, and what comes meanwhile is in it', async () => {
  const server = await startHub({ historyMaxMessages: 1 });
  const proxy = await startProxy(server);
  const [documentId, store] = [uniqueId(), new Store()];
  const author = begin(server, { documentId });
  const client = make(proxy, { documentId });
  const shown = follow(client, store);
  await loading(store, 1);
  store.loads[0].answer();
  await until('the first load', () => shown.begun.length === 1, { everyMs: 5 });

  proxy.hubPort = 1;
  proxy.cutAll('RST');
  await client.is('waiting');
  client.send('update', 'mine');
  for (const update of [1, 2, 3]) await store.add(author, update);
  proxy.hubPort = server.port;
  await loading(store, 2);
  await store.add(author, 4);
  store.loads[1].answer();
  await shows(shown, [1, 2, 3, 4]);
  const { reason, certain, unacknowledged } = shown.begun[1];
  assert.deepEqual([reason, certain], ['HISTORY_GONE', true]);
  assert.deepEqual(
    unacknowledged.map(({ update }) => update),
    ['mine'],
  );
});

test('a reload during a load begins another, and only that one counts', async () => {
  const server = await startHub({ historyMaxMessages: 1 });
  const proxy = await startProxy(server);
  const [documentId, store] = [uniqueId(), new Store()];
  const author = begin(server, { documentId });
  const client = make(proxy, { documentId });
  const shown = follow(client, store);
  await loading(store, 1);
  proxy.hubPort = 1;
  proxy.cutAll('RST');
  await client.is('waiting');
  for (const update of [1, 2, 3]) await store.add(author, update);
  proxy.hubPort = server.port;
  await loading(store, 2);
  store.loads[1].answer();
  await shows(shown, [1, 2, 3]);
  store.loads[0].answer();
  await store.add(author, 4);
  await shows(shown, [1, 2, 3, 4]);
  assert.equal(shown.begun.length, 1);
});
