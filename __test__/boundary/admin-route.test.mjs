// The route of the admin page, called with plain requests as Next calls it: who may come in, what it serves and with which
// headers, and that nothing is done but by the page itself.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { describe } from 'node:test';
import { createAdminRoute } from '@captify-io/hub/admin';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';

const { COUNTERS, GAUGES, HISTOGRAMS } = createRequire(import.meta.url)('../../js/admin/summary.js');

const ADDRESS = 'https://app.example/admin/hub';
const ADA = { name: 'Ada' };
const OWN = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' };

const open = createAdminRoute({ authorize: () => ADA });
const get = (query = '', headers = {}) =>
  new Request(`${ADDRESS}${query}`, { headers: { host: 'app.example', ...headers } });
const post = (body, headers = OWN) =>
  new Request(ADDRESS, {
    method: 'POST',
    headers: { host: 'app.example', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

async function temporaryDirectory(t) {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-admin-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  return directory;
}

test('ES modules and CommonJS get the same function of the admin entry', () => {
  const required = createRequire(import.meta.url)('@captify-io/hub/admin');
  assert.deepEqual(Object.keys(required), ['createAdminRoute']);
  assert.equal(required.createAdminRoute, createAdminRoute);
});

test('without authorize there is no route', () => {
  for (const options of [undefined, null, {}, { authorize: true }, { authorize: 'everybody' }]) {
    assert.throws(() => createAdminRoute(options), {
      name: 'HubError',
      code: 'HUB_INVALID_ARGUMENT',
      message: /authorize/,
    });
  }
});

describe('who may come in', () => {
  const kinds = {
    'the page': get('', { accept: 'text/html' }),
    'a file': get('?file=admin.js'),
    data: get('?data=overview'),
    'what is not there': get('?data=nonsense'),
    'an action': post({ action: 'disconnectUser', userId: 'ada' }),
    'an action of another page': post({ action: 'disconnectUser', userId: 'ada' }, { 'content-type': 'text/plain' }),
  };

  for (const [what, answer] of [
    ['false', false],
    ['null', null],
    ['nothing', undefined],
    ['a promise of false', Promise.resolve(false)],
    ['a session without a name', { user: { role: 'admin' } }],
    ['an empty name', { name: '' }],
    ['a text', 'yes'],
    ['a number', 1],
  ]) {
    test(`nobody, for anything, where authorize answers ${what}`, async (t) => {
      t.mock.method(console, 'error', () => {});
      const { GET, POST } = createAdminRoute({ authorize: () => answer });
      for (const [name, request] of Object.entries(kinds)) {
        const response = await (request.method === 'GET' ? GET : POST)(request.clone());
        const text = await response.text();
        assert.equal(response.status, 403, name);
        assert.equal(response.headers.get('cache-control'), 'no-store', name);
        assert.match(response.headers.get('content-security-policy'), /^default-src 'none'/);
        assert.doesNotMatch(text, /hub|captify|admin|overview/i, `${name} is told something: ${text}`);
      }
    });
  }

  test('whoever authorize says yes to, at once or later, with a name or without', async () => {
    for (const answer of [true, ADA, Promise.resolve(true), Promise.resolve(ADA)]) {
      const { GET } = createAdminRoute({ authorize: () => answer });
      assert.equal((await GET(get())).status, 200);
    }
  });

  test('authorize is given the request, and asked about each', async () => {
    const asked = [];
    const { GET, POST } = createAdminRoute({ authorize: (request) => asked.push(request) > 0 });
    const requests = [get(), get('?file=admin.css'), get('?data=overview'), post({})];
    for (const request of requests) await (request.method === 'GET' ? GET : POST)(request);
    assert.deepEqual(asked, requests);
  });

  test('a response of authorize is the answer, and what it throws is left to Next', async () => {
    const elsewhere = Response.redirect('https://app.example/login', 303);
    const { GET, POST } = createAdminRoute({ authorize: async () => elsewhere });
    assert.equal(await GET(get()), elsewhere);
    assert.equal(await POST(post({ action: 'disconnectUser', userId: 'ada' })), elsewhere);
    const redirect = Object.assign(new Error('NEXT_REDIRECT'), { digest: 'NEXT_REDIRECT;replace;/login;307;' });
    const thrower = createAdminRoute({
      authorize() {
        throw redirect;
      },
    });
    await assert.rejects(thrower.GET(get()), redirect);
    await assert.rejects(thrower.POST(post({})), redirect);
  });
});

describe('what is served', () => {
  test('the page names its files by their versions, in addresses of nothing but a query', async () => {
    const response = await open.GET(get());
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
    const html = await response.text();
    const named = [...html.matchAll(/\s(?:src|href)="([^"#][^"]*)"/g)].map(([, address]) =>
      address.replaceAll('&amp;', '&'),
    );
    assert.ok(named.length >= 3, html);
    for (const query of named) {
      assert.match(query, /^\?file=[\w.]+&v=[0-9a-f]{16}$/);
      const file = await open.GET(get(query));
      assert.equal(file.status, 200, query);
      assert.equal(file.headers.get('cache-control'), 'private, max-age=31536000, immutable');
      assert.equal(file.headers.get('etag'), `"${new URLSearchParams(query).get('v')}"`);
      assert.equal(file.headers.get('x-content-type-options'), 'nosniff');
      const again = await open.GET(get(query, { 'if-none-match': file.headers.get('etag') }));
      assert.deepEqual([again.status, await again.text()], [304, '']);
    }
    const stale = await open.GET(get('?file=admin.js&v=0123456789abcdef'));
    assert.deepEqual(
      [stale.status, stale.headers.get('cache-control')],
      [200, 'no-store'],
      'of another version: not kept',
    );
  });

  test('everything is kept out of frames, stores, referrers and search engines', async () => {
    for (const request of [get(), get('?data=overview'), get('?file=nonsense'), post({ action: 'nonsense' })]) {
      const { headers } = await (request.method === 'GET' ? open.GET : open.POST)(request);
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.equal(headers.get('referrer-policy'), 'no-referrer');
      assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin');
      assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
      assert.match(headers.get('x-robots-tag'), /noindex/);
      const policy = headers.get('content-security-policy');
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
      assert.doesNotMatch(policy, /unsafe|data:|https?:|\*/);
      for (const part of [
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        'require-trusted-types-for',
      ]) {
        assert.ok(policy.includes(part), part);
      }
    }
  });

  test('a nonce of the app is carried where its policy asks for one, and nothing else of a header', async () => {
    const policy = { 'content-security-policy': "script-src 'nonce-YWJj+/=' 'strict-dynamic'" };
    assert.match(await (await open.GET(get('', policy))).text(), /<script [^>]*nonce="YWJj\+\/="/);
    const hostile = { 'content-security-policy': `script-src 'nonce-"><script>alert(1)</script>'` };
    assert.doesNotMatch(await (await open.GET(get('', hostile))).text(), /nonce|alert/);
  });

  test('what is not there is not found, also below the route', async () => {
    for (const query of [
      '?file=nonsense',
      '?file=__proto__',
      '?file=constructor',
      '?data=nonsense',
      '?data=toString',
    ]) {
      assert.equal((await open.GET(get(query))).status, 404, query);
    }
    const below = { params: Promise.resolve({ path: ['else', 'where'] }) };
    assert.equal((await open.GET(get(), below)).status, 404);
    assert.equal((await open.POST(post({ action: 'disconnectUser', userId: 'ada' }), below)).status, 404);
    for (const params of [undefined, {}, { path: undefined }, { path: [] }, { locale: 'en' }]) {
      assert.equal((await open.GET(get(), { params: Promise.resolve(params) })).status, 200);
      assert.equal((await open.GET(get(), { params })).status, 200);
    }
  });

  test('where no hub runs the page says so', async () => {
    const response = await open.GET(get('?data=overview'));
    const { isRunning, health, summary, name } = await response.json();
    assert.deepEqual([response.status, isRunning, health.ready, summary, name], [200, false, false, undefined, 'Ada']);
    assert.match(health.reasons.join(), /no hub runs/);
    const action = await open.POST(post({ action: 'disconnectUser', userId: 'ada' }));
    assert.deepEqual([action.status, (await action.json()).code], [503, 'HUB_NOT_RUNNING']);
  });
});

describe('what is done', () => {
  /** A hub with a user in a document, and what its security log was told. */
  async function stage(t) {
    const events = [];
    const userId = uniqueId('user');
    const server = await HubServer.start({
      session: () => ({ id: userId }),
      access: () => 'write',
      onSecurityEvent: (event) => events.push(event),
    });
    t.after(() => server.close());
    const documentId = uniqueId();
    const client = await server.connect(documentId);
    const logged = (code) => until(`${code} in the log`, () => events.find((event) => event.code === code));
    return { server, events, userId, documentId, client, logged };
  }

  /** Each would disconnect the user if it were obeyed. */
  const foreign = {
    'from another site': { ...OWN, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    'from another host of the site': { ...OWN, 'sec-fetch-site': 'same-site', origin: 'https://other.app.example' },
    'typed into the address bar': { ...OWN, 'sec-fetch-site': 'none' },
    'of another origin, in a browser without Sec-Fetch-Site': {
      'content-type': 'application/json',
      origin: 'http://evil.example',
    },
    'of an origin that only begins like the own': {
      'content-type': 'application/json',
      origin: 'https://app.example.evil.example',
    },
    'of an origin on another port': { 'content-type': 'application/json', origin: 'https://app.example:8443' },
    'of an opaque origin': { 'content-type': 'application/json', origin: 'null' },
    'that does not say where it is from': { 'content-type': 'application/json' },
  };
  for (const [what, headers] of Object.entries(foreign)) {
    test(`nothing, for a request ${what}`, async (t) => {
      const { userId, client, logged, events } = await stage(t);
      const response = await open.POST(post({ action: 'disconnectUser', userId }, headers));
      assert.deepEqual([response.status, (await response.json()).code], [403, 'ADMIN_OTHER_ORIGIN']);
      assert.equal((await logged('ADMIN_REFUSED')).by, 'Ada');
      assert.equal(client.socket.readyState, client.socket.OPEN);
      assert.ok(!events.some(({ code }) => code === 'ADMIN_ACTION'));
    });
  }

  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    '',
  ]) {
    test(`nothing, for a body of type ${type || 'none'}`, async (t) => {
      const { userId, client } = await stage(t);
      const request = post({ action: 'disconnectUser', userId }, { ...OWN, 'content-type': type });
      const response = await open.POST(request);
      assert.deepEqual([response.status, (await response.json()).code], [415, 'ADMIN_NOT_JSON']);
      assert.equal(client.socket.readyState, client.socket.OPEN);
    });
  }

  test('nothing by GET, whatever the query says', async (t) => {
    const { userId, client } = await stage(t);
    for (const query of [`?action=disconnectUser&userId=${userId}`, `?data=disconnectUser&userId=${userId}`]) {
      await open.GET(get(query, OWN));
    }
    assert.equal(client.socket.readyState, client.socket.OPEN);
  });

  test('nothing that is no action, is too long, or lacks what it takes', async (t) => {
    const { userId, documentId, client } = await stage(t);
    const about = { userId, documentId };
    for (const [body, status, code] of [
      ['', 400, 'ADMIN_NO_ACTION'],
      ['{', 400, 'ADMIN_NO_ACTION'],
      ['null', 400, 'ADMIN_NO_ACTION'],
      ['[]', 400, 'ADMIN_NO_ACTION'],
      [{ userId }, 400, 'ADMIN_NO_ACTION'],
      [{ action: 'toString' }, 400, 'ADMIN_NO_SUCH_ACTION'],
      [{ action: 'disconnectUser' }, 400, 'HUB_INVALID_ARGUMENT'],
      [{ action: 'disconnectUser', userId: '' }, 400, 'HUB_INVALID_ARGUMENT'],
      [{ action: 'disconnectUser', userId: 'x'.repeat(513) }, 400, 'HUB_INVALID_ARGUMENT'],
      [{ action: 'setAccess', ...about, access: 'none' }, 400, 'HUB_INVALID_ARGUMENT'],
      [{ action: 'setAccess', ...about }, 400, 'HUB_INVALID_ARGUMENT'],
      [{ action: 'disconnectUser', userId, more: 'x'.repeat(20_000) }, 413, 'ADMIN_TOO_LONG'],
    ]) {
      const response = await open.POST(post(body));
      assert.deepEqual(
        [response.status, (await response.json()).code],
        [status, code],
        JSON.stringify(body).slice(0, 80),
      );
    }
    assert.equal(client.socket.readyState, client.socket.OPEN);
  });

  test('a user is disconnected, and the log has who did it', async (t) => {
    const { userId, client, logged } = await stage(t);
    const response = await open.POST(post({ action: 'disconnectUser', userId }));
    assert.deepEqual([response.status, await response.json()], [200, { result: 1 }]);
    assert.deepEqual(await client.closing(), { code: 4403, reason: 'Disconnected by an administrator' });
    const { time, ...event } = await logged('ADMIN_ACTION');
    assert.deepEqual(event, { code: 'ADMIN_ACTION', count: 1, by: 'Ada', user: userId, hint: 'disconnectUser: 1' });
  });

  test('access is changed, also in a browser that says where it is from by Origin alone', async (t) => {
    const { userId, documentId, client, logged } = await stage(t);
    for (const origin of ['https://app.example', 'https://app.example:443']) {
      const headers = { 'content-type': 'application/json; charset=utf-8', origin };
      const response = await open.POST(post({ action: 'setAccess', userId, documentId, access: 'read' }, headers));
      assert.deepEqual([response.status, await response.json()], [200, { result: 1 }]);
    }
    assert.equal((await client.received(({ type }) => type === 'access')).access, 'read');
    const { by, user, document, hint } = await logged('ADMIN_ACTION');
    assert.deepEqual([by, user, document, hint], ['Ada', userId, documentId, 'setAccess read: 1']);
    await open.POST(post({ action: 'setAccess', userId, documentId, access: false }));
    assert.equal((await client.closing()).code, 4403);
  });

  test('access to a document is rechecked', async (t) => {
    const { documentId, logged } = await stage(t);
    const response = await open.POST(post({ action: 'recheckAccess', documentId }));
    assert.deepEqual([response.status, await response.json()], [200, { result: 1 }]);
    const { by, document } = await logged('ADMIN_ACTION');
    assert.deepEqual([by, document], ['Ada', documentId]);
  });

  test('a connection is closed by its id, and one that has gone is told to have', async (t) => {
    const { documentId, client, logged } = await stage(t);
    const { shown } = await (await open.GET(get(`?data=connections&document=${documentId}`))).json();
    const [{ id }] = shown.connections;
    const disconnect = async () => (await open.POST(post({ action: 'disconnectConnection', id }))).json();
    assert.deepEqual(await disconnect(), { result: true });
    assert.deepEqual(await client.closing(), { code: 4403, reason: 'Disconnected by an administrator' });
    assert.equal((await logged('ADMIN_ACTION')).hint, `disconnectConnection ${id}: true`);
    await until('the connection to be gone', async () => (await disconnect()).result === false);
  });

  test('a document is saved, and what fails is told by its code and logged', async (t) => {
    let failure;
    const saved = [];
    const server = await HubServer.start({
      session: () => ({ id: 'somebody' }),
      access: () => 'write',
      logLevel: 'off',
      onSecurityEvent() {},
      documents: {
        kind: () => 'steps',
        store: false,
        saveAfterMs: 600_000,
        saveWithinMs: 600_000,
        load: async () => ({ doc: {}, version: 0 }),
        async save({ version }) {
          if (failure) throw failure;
          saved.push(version);
        },
      },
    });
    t.after(() => server.close());
    const documentId = uniqueId();
    const client = await server.connect(documentId);
    const save = async () => {
      const response = await open.POST(post({ action: 'saveDocument', documentId }));
      return { status: response.status, ...(await response.json()) };
    };
    assert.deepEqual(await save(), { status: 200, result: 'nothing' });
    client.send({ type: 'steps', version: 0, steps: [{ stepType: 'replace' }] });
    await client.received(({ type }) => type === 'steps');
    failure = new Error('the database is away');
    const failed = await save();
    assert.deepEqual([failed.status, failed.code], [503, 'HUB_UNAVAILABLE']);
    failure = undefined;
    assert.deepEqual(await save(), { status: 200, result: 'saved' });
    assert.deepEqual(saved, [1]);
    const { shown } = await (await open.GET(get('?data=events'))).json();
    const hints = shown.events.filter(({ document }) => document === documentId).map(({ hint }) => hint);
    assert.deepEqual(hints.sort(), [
      'saveDocument: failed, HUB_UNAVAILABLE',
      'saveDocument: nothing',
      'saveDocument: saved',
    ]);
  });
});

describe('what is shown', () => {
  test('each view has how the hub is, the numbers of the moment, and its own', async (t) => {
    const store = `${await temporaryDirectory(t)}/documents.redb`;
    const server = await HubServer.start({
      session: () => ({ id: 'ada' }),
      access: () => 'write',
      documents: { kind: () => 'relay', store, load: async () => null, save: async () => {} },
    });
    t.after(() => server.close());
    const documentId = uniqueId();
    const one = await server.connect(documentId, 'one');
    const client = await server.connect(documentId, 'two');
    await client.synced(documentId);
    const ask = async (query) => (await open.GET(get(query))).json();
    await until('the hub to be ready', async () => (await ask('?data=overview')).health.ready);

    const { shown, summary, health, processes } = await ask('?data=overview');
    assert.deepEqual(health, { live: true, ready: true, reasons: [] });
    assert.equal(processes, undefined, 'one process is not told of');
    assert.deepEqual([shown.documents.total, shown.unsaved.total, shown.slowest.total, shown.slow], [1, 1, 2, 0]);
    assert.deepEqual([summary.gauges.connections, summary.gauges.documents, summary.gauges.members], [2, 1, 2]);
    client.send({ type: 'update', documentId, update: 'hello' });
    await one.received(({ type }) => type === 'update');
    await until('what was sent to be counted', async () => {
      const { messagesIn, messagesOut } = (await ask('?data=overview')).summary.counters;
      return messagesIn === 2 && messagesOut >= 1;
    });
    for (const [kind, names] of Object.entries({ gauges: GAUGES, counters: COUNTERS, histograms: HISTOGRAMS })) {
      assert.deepEqual(
        Object.keys(summary[kind]),
        Object.keys(names),
        `every one of the ${kind} is counted by the hub`,
      );
    }
    const { admission } = summary.histograms;
    assert.deepEqual([admission.at(-1).le, admission.at(-1).count], [null, 2]);

    const connections = (await ask('?data=connections&limit=1&sort=oldest')).shown;
    assert.deepEqual([connections.total, connections.connections.map(({ clientId }) => clientId)], [2, ['one']]);
    assert.equal((await ask('?data=connections&user=ben')).shown.total, 0);
    assert.equal((await ask('?data=connections&slow=1')).shown.total, 0);
    assert.equal((await ask('?data=connections&olderThanMs=3600000')).shown.total, 0);
    assert.equal((await ask(`?data=documents&document=${documentId}&kind=relay`)).shown.documents[0].members, 2);

    const inside = (await ask(`?data=document&id=${documentId}`)).shown;
    assert.deepEqual([inside.document.id, inside.members.length, inside.members[0].access], [documentId, 2, 'write']);
    assert.equal((await ask('?data=document&id=nobody')).shown.document, null);
    assert.deepEqual(
      (await ask('?data=events')).shown.events.filter((event) => event.document === documentId),
      [],
    );
    assert.ok((await ask('?data=metrics')).shown.metrics.some(({ name }) => name === 'hub_connections'));
  });

  test('what the hub refuses is told, and how it is all the same', async (t) => {
    const server = await HubServer.start();
    t.after(() => server.close());
    for (const query of ['?data=connections&sort=size', '?data=connections&limit=0', '?data=documents&olderThanMs=x']) {
      const { fault, health, shown } = await (await open.GET(get(query))).json();
      assert.deepEqual([fault.code, health.live, shown], ['HUB_INVALID_ARGUMENT', true, undefined], query);
    }
  });
});
