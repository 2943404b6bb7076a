// The hub in real Next apps: Next 15 and 16, webpack and Turbopack, development and production, installed from a
// tarball and as a linked directory. Takes some minutes; every step says what it does on stderr.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { visitAdmin } from './support/admin-visit.mjs';
import { FabricClient, rawUpgrade, tryOpen } from './support/fabric-client.mjs';
import { filesBelow, makeApp } from './support/fixture-apps.mjs';
import { freePorts } from './support/ports.mjs';
import { until } from './support/processes.mjs';

const fixtures = ['next15', 'next16'];
const bundlers = ['webpack', 'turbopack'];
const MINUTE = 60_000;
const SAVE_AGAIN_MS = 6000;

/** Where Next has had its hot-reload socket so far. The hub must not care, so the tests try them all. */
const hotReloadPaths = ['/_next/hmr', '/_next/webpack-hmr'];

async function get(service, path) {
  const response = await fetch(service.http + path);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

async function counts(service, documentId) {
  // Which process it was tells apart those of pm2-cluster.test.mjs; here there is one.
  const { process: _one, ...seen } = JSON.parse(
    (await get(service, `/api/counts?${new URLSearchParams({ documentId })}`)).text,
  );
  return seen;
}

async function post(service, path, body) {
  const response = await fetch(service.http + path, { method: 'POST', body: JSON.stringify(body) });
  return response.json();
}

/** The calls that the broadcast route knows: all of them. */
const broadcasts = [
  'broadcastSteps',
  'broadcastStepsToClient',
  'broadcastPendingChange',
  'broadcastAcceptedChange',
  'broadcastRejectedChange',
];

const broadcast = (service, body) => post(service, '/api/broadcast', body);

const isSteps = (message) => message.type === 'steps';

async function openHotReload(service) {
  for (const path of hotReloadPaths) {
    const socket = await tryOpen(service.ws + path, { origin: `http://localhost:${service.port}` });
    if (socket) return socket;
  }
  return null;
}

/** What each copy of the package in the process sees of the hub must be the same. */
async function assertAllCopiesSee(service, documentId, expected) {
  const { instrumentation, ...route } = await counts(service, documentId);
  const answer = await service.ask({ ask: 'sight', documentId }, (message) => message?.answer === 'sight');
  const sights = { route, instrumentation, server: answer.server, instrumentationFromServer: answer.instrumentation };
  for (const [copy, sight] of Object.entries(sights)) {
    assert.deepEqual({ ...sight, documents: sight.documents.toSorted() }, expected, `as ${copy} sees it`);
  }
}

/** A client of the fixture's agent handler. */
async function openAgent(t, service, threadId) {
  const agent = new FabricClient(`${service.ws}/ws/agent?${new URLSearchParams({ threadId })}`);
  t.after(() => agent.drop());
  assert.deepEqual(await agent.received((message) => message.type === 'connected'), { type: 'connected', threadId });
  return agent;
}

/** Asks for a stream, waits for its end, and answers every chunk that came so far. */
async function streamed(agent) {
  const done = () => agent.messages.filter(({ type }) => type === 'done').length;
  const before = done();
  agent.send({ type: 'stream' });
  await until('the end of the stream', () => done() > before);
  return agent.messages.filter(({ type }) => type === 'chunk').map(({ chunk }) => chunk);
}

/** The promises that hold for every app that runs by its server.mjs, in the order in which they are tried. */
function servedPromises({ service, app, mode }) {
  const inDevelopment = mode === 'development';
  const promises = new Map();
  let hotReload;

  if (inDevelopment) {
    promises.set("Next's hot-reload socket opens before the first page was requested", async () => {
      hotReload = await openHotReload(service);
      assert.ok(hotReload, `none of ${hotReloadPaths.join(', ')} opens`);
      await until('a first message of the hot-reload socket', () => hotReload.received.length > 0);
    });
  }

  promises.set("the agent handler of captify's guide runs unchanged", async (t) => {
    assert.match(service.output, /- \/ws\/fabric +║\n║ +- \/ws\/agent +║[^]*\[fixture\] listening/);
    const agent = await openAgent(t, service, 'thread 1');
    assert.deepEqual(await streamed(agent), ['one', 'two']);
    agent.socket.send('no JSON');
    await service.printed(/\[agent\] error thread 1 Unexpected token/);
    await service.printed(/\[hub\] error: the handler of \/ws\/agent, connection #\d+: SyntaxError/);
    agent.send({ type: 'else' });
    await agent.received((message) => message.message === 'Unknown type: else');
    const manager = JSON.parse((await get(service, '/api/counts?documentId=/ws/agent')).text);
    assert.equal(manager.count, 1);
    agent.socket.close(4000, 'enough');
    await service.printed(/\[agent\] closed thread 1 4000 enough/);
    const without = new FabricClient(`${service.ws}/ws/agent`);
    assert.deepEqual(await without.closing(), { code: 1003, reason: 'Missing threadId' });
  });

  promises.set('pages, the catch-all page and the middleware do what they did', async () => {
    const home = await get(service, '/');
    assert.equal(home.status, 200);
    assert.match(home.text, /fixture home/);
    const deep = await get(service, '/some/where/deep');
    assert.equal(deep.status, 200);
    assert.match(deep.text, /catch-all \/some\/where\/deep/);
    await service.printed(/\[fixture\] middleware \/some\/where\/deep/);
    // Next 15 runs middleware on the edge runtime, where no hub can be; Next 16 runs proxy.ts in this process.
    const expected = app.fixture === 'next15' ? 'HUB_NOT_RUNNING' : 'none';
    assert.equal(home.headers.get('x-fixture-failure'), expected);
    assert.equal(home.headers.get('x-fixture-fabric'), '0');
  });

  promises.set('route handlers, instrumentation and server.mjs see one hub', async (t) => {
    const clients = [];
    t.after(() => clients.forEach((client) => client.drop()));
    const connect = async (documentId, clientID) => {
      const client = await FabricClient.connect(service.ws, documentId, clientID);
      clients.push(client);
      return client;
    };
    await assertAllCopiesSee(service, 'first', { count: 0, fabric: 0, manager: 0, documents: [] });
    const anna = await connect('first', 'anna');
    await assertAllCopiesSee(service, 'first', { count: 1, fabric: 1, manager: 1, documents: ['first'] });
    const ben = await connect('first', 'ben');
    const other = await connect('second', 'anna');
    await assertAllCopiesSee(service, 'first', { count: 2, fabric: 3, manager: 3, documents: ['first', 'second'] });

    const steps = [
      { stepType: 'replace', from: 1, to: 1 },
      { stepType: 'replace', from: 2, to: 3 },
    ];
    const toFirst = { documentId: 'first', changeId: 'change-1', steps };
    assert.deepEqual(await broadcast(service, { call: 'broadcastSteps', ...toFirst }), { delivered: 2 });
    const expected = { type: 'steps', steps, clientIDs: ['agent', 'agent'], changeId: 'change-1', offset: 1 };
    assert.deepEqual(await anna.received(isSteps), expected);
    assert.deepEqual(await ben.received(isSteps), expected);

    const toBen = { ...toFirst, clientID: 'ben', changeId: 'only-ben' };
    assert.deepEqual(await broadcast(service, { call: 'broadcastStepsToClient', ...toBen }), { delivered: 1 });
    const atBen = await ben.received((message) => message.changeId === 'only-ben');
    assert.deepEqual(atBen, { ...expected, changeId: 'only-ben', offset: 2 });

    const change = { id: 'change-2', by: 'agent' };
    for (const call of ['broadcastPendingChange', 'broadcastAcceptedChange', 'broadcastRejectedChange']) {
      assert.deepEqual(await broadcast(service, { call, change, ...toFirst }), { delivered: 2 }, call);
    }
    const ofType = (type) => (message) => message.type === type;
    const pending = { type: 'agent-change-pending', change, offset: 3 };
    assert.deepEqual(await anna.received(ofType('agent-change-pending')), pending);
    const accepted = { type: 'agent-change-accepted', changeId: 'change-1', steps, offset: 4 };
    assert.deepEqual(await anna.received(ofType('agent-change-accepted')), accepted);
    const rejected = { type: 'agent-change-rejected', changeId: 'change-1', offset: 5 };
    assert.deepEqual(await anna.received(ofType('agent-change-rejected')), rejected);

    const notice = { type: 'notice', text: 'to everyone' };
    const sent = await post(service, '/api/counts', { path: '/ws/fabric', message: notice });
    assert.deepEqual(sent, { delivered: 3 });
    for (const client of clients) assert.deepEqual(await client.received(ofType('notice')), notice);
    // The notice came last on every connection, so whatever was sent wrongly before would be here by now.
    assert.ok(!anna.messages.some((message) => message.changeId === 'only-ben'), 'anna got what was for ben');
    assert.deepEqual(
      other.messages.map((message) => message.type),
      ['connected', 'notice'],
    );

    ben.send({ type: 'update', documentId: 'first', update: [1, 2, 3] });
    const update = await anna.received(ofType('update'));
    assert.deepEqual(update, { type: 'update', documentId: 'first', update: [1, 2, 3], clientID: 'ben', offset: 6 });

    for (const client of clients) await client.close();
    await until('the counts to be 0 again', async () => (await counts(service, 'first')).fabric === 0);
    await assertAllCopiesSee(service, 'first', { count: 0, fabric: 0, manager: 0, documents: [] });
  });

  promises.set('a broadcast to a document that nobody has open is delivered to 0', async () => {
    const asked = { call: 'broadcastSteps', documentId: 'nobody', changeId: 'c', steps: [] };
    assert.deepEqual(await broadcast(service, asked), { delivered: 0 });
  });

  promises.set(
    'the admin page is closed but for whom the app lets in, and has its files, data and actions',
    async (t) => {
      const client = await FabricClient.connect(service.ws, 'seen', 'anna');
      t.after(() => client.drop());
      await visitAdmin(`${service.http}/admin/hub`, 'seen');
      const below = await fetch(`${service.http}/admin/hub/else/where`, { headers: { 'x-fixture-admin': 'Ada' } });
      assert.equal(below.status, 404);
      await client.close();
    },
  );

  promises.set('an edge route compiles and is told that no hub can be seen from there', async () => {
    const { status, text } = await get(service, '/api/edge');
    assert.equal(status, 200, text);
    const { fabric, documents, failure } = JSON.parse(text);
    assert.equal(fabric, 0);
    assert.deepEqual(documents, []);
    assert.equal(failure.code, 'HUB_NOT_RUNNING');
    assert.match(failure.message, /server\.mjs/);
  });

  promises.set('no page and no middleware ever sees an upgrade of the hub', async () => {
    // These two end with a close frame of the hub, 1003, and not with whatever the catch-all page would do.
    for (const [target, reason] of [
      ['/ws/fabric', 'Missing documentId or clientID'],
      ['/ws/no-such-endpoint', 'No handler for /ws/no-such-endpoint'],
    ]) {
      const client = new FabricClient(service.ws + target);
      assert.deepEqual(await client.closing(), { code: 1003, reason });
    }
    assert.doesNotMatch(service.output, /\[fixture\] (page|middleware) \/ws/);
  });

  promises.set('an upgrade that nobody owns is answered and its connection closed', async () => {
    // In development Next sees these: the catch-all page matches the first, Next wants to redirect the second,
    // and nothing matches the third. Left to itself it would keep the last two open for ever.
    for (const target of ['/elsewhere', '/socket.io/?EIO=4&transport=websocket', '/_next/no-such-socket']) {
      const answer = await rawUpgrade(service.port, target);
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, `${target} was answered by ${JSON.stringify(answer)}`);
    }
    assert.equal((await get(service, '/')).status, 200);
  });

  promises.set(
    'a page and a route are served where h2c is offered, and 426 is where a proxy took the upgrade',
    async () => {
      const offered = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' };
      const ask = async (method, target, body) => {
        const options = {
          method,
          headers: { ...offered, Connection: 'Upgrade', 'Content-Length': Buffer.byteLength(body) },
        };
        const [response] = await once(http.request(service.http + target, options).end(body), 'response');
        let text = '';
        for await (const chunk of response) text += chunk;
        return { status: response.statusCode, headers: response.headers, text };
      };
      assert.match((await ask('GET', '/some/page', '')).text, /catch-all \/some\/page/);
      const asked = JSON.stringify({ call: 'broadcastSteps', documentId: 'nobody', changeId: 'c', steps: [] });
      assert.deepEqual(JSON.parse((await ask('POST', '/api/broadcast', asked)).text), { delivered: 0 });
      const plain = await get(service, '/ws/fabric?documentId=a&clientID=b');
      assert.deepEqual([plain.status, plain.headers.get('upgrade')], [426, 'websocket']);
      assert.match(plain.text, /proxy/);
    },
  );

  if (inDevelopment) {
    promises.set('an edited handler takes effect without a restart, also for who is connected', async (t) => {
      const file = path.join(app.directory, 'handlers', 'agent.ts');
      const before = fs.readFileSync(file, 'utf8');
      const connected = await openAgent(t, service, 'before');
      assert.deepEqual(await streamed(connected), ['one', 'two']);
      for (const [word, content] of [
        ['uno', before.replace("'one'", "'uno'")],
        ['one', before],
      ]) {
        let saves = 0;
        let savedAt;
        // The same bytes again are no edit to Turbopack.
        const save = () => {
          fs.writeFileSync(file, saves === 0 ? content : `${content}// save ${saves}\n`);
          saves += 1;
          savedAt = Date.now();
        };
        save();
        await until('the edited handler', async () => {
          // An edit back to what the file was at start may never reach the modules that Next 16.4 has loaded; any other does.
          if (Date.now() - savedAt > SAVE_AGAIN_MS) {
            t.diagnostic(`saved again: ${service.output.slice(-500)}`);
            save();
          }
          const agent = await openAgent(t, service, 'after');
          return (await streamed(agent))[0] === word;
        });
        assert.deepEqual((await streamed(connected)).slice(-2), [word, 'two']);
      }
    });

    promises.set('an edited page is announced on the hot-reload socket that was opened first', async () => {
      const page = path.join(app.directory, 'app', 'page.tsx');
      const before = fs.readFileSync(page, 'utf8');
      const from = hotReload.received.length;
      fs.writeFileSync(page, before.replace('fixture home', 'fixture home, edited'));
      await until('the edited page', async () => (await get(service, '/')).text.includes('fixture home, edited'));
      const isNews = (text) => /"(built|sync|serverComponentChanges|reloadPage)"/.test(text);
      await until('word of the edit', () => hotReload.received.slice(from).some(isNews));
      fs.writeFileSync(page, before);
      assert.equal(hotReload.readyState, hotReload.OPEN);
    });
  }

  promises.set('SIGTERM closes every client with 1012 and ends the process with exit code 0', async (t) => {
    const client = await FabricClient.connect(service.ws, 'last', 'anna');
    t.after(() => client.drop());
    const ended = service.stop('SIGTERM');
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await ended, { code: 0, signal: null });
    hotReload?.terminate();
  });

  return promises;
}

async function serve(t, app, mode, bundler, extra) {
  // Rooms that an earlier server of the app has left would go on where they were.
  fs.rmSync(path.join(app.directory, '.hub'), { recursive: true, force: true });
  const service = await app.start(mode, bundler, extra);
  // Only for what failed before the last promise, which stops it.
  t.after(() => service.stop('SIGKILL'));
  for (const [promise, keep] of servedPromises({ service, app, mode })) {
    await t.test(promise, { timeout: 2 * MINUTE }, keep);
  }
}

/** Native binaries in the build: a copy would be a second hub. A link to the installed package is the same one. */
function nativeFiles(app) {
  return filesBelow(path.join(app.directory, '.next')).filter((file) => file.endsWith('.node'));
}

async function buildAndServe(t, app, bundler, extra) {
  let built = false;
  await t.test('next build needs no native binary, and copies none', { timeout: 5 * MINUTE }, async () => {
    await app.build(bundler, extra);
    built = true;
    assert.deepEqual(nativeFiles(app), []);
  });
  if (built) await serve(t, app, 'production', bundler, extra);
  return built;
}

for (const fixture of fixtures) {
  test(`${fixture} with the hub installed from a tarball`, async (t) => {
    const app = await makeApp(fixture, 'tarball');
    for (const bundler of bundlers) {
      await t.test(`production, ${bundler}`, async (t) => {
        const built = await buildAndServe(t, app, bundler);
        if (!built) return;
        await t.test('an upgrade that comes before register() has run waits for it', async (t) => {
          const [port] = await freePorts(1);
          const starting = app.start('production', bundler, { PORT: String(port), FIXTURE_SLOW_MS: '2000' });
          t.after(async () => (await starting).stop('SIGKILL'));
          const agent = await until('the port to listen', async () => {
            const client = new FabricClient(`ws://127.0.0.1:${port}/ws/agent?threadId=early`);
            const settled = await until('an answer', () => client.failure ?? client.messages[0], { timeoutMs: 30_000 });
            return settled === client.failure && settled.code === 'ECONNREFUSED' ? null : client;
          });
          t.after(() => agent.drop());
          assert.deepEqual(agent.messages, [{ type: 'connected', threadId: 'early' }]);
        });
        await t.test('next start, without the hub, answers empty counts and HUB_NOT_RUNNING', async (t) => {
          const service = await app.startWithoutHub();
          t.after(() => service.stop('SIGKILL'));
          const empty = { count: 0, fabric: 0, manager: 0, documents: [] };
          assert.deepEqual(await counts(service, 'any'), { ...empty, instrumentation: empty });
          for (const call of broadcasts) {
            const asked = { call, documentId: 'any', clientID: 'anna', changeId: 'c', steps: [], change: {} };
            const { code, message } = await broadcast(service, asked);
            assert.equal(code, 'HUB_NOT_RUNNING', call);
            assert.match(message, /server\.mjs/, call);
          }
          const { code } = await post(service, '/api/counts', { path: '/ws/fabric', message: 'text' });
          assert.equal(code, 'HUB_NOT_RUNNING');
        });
      });
    }
    for (const bundler of bundlers) {
      await t.test(`development, ${bundler}`, (t) => serve(t, app, 'development', bundler));
    }
    const bundler = fixture === 'next15' ? 'webpack' : 'turbopack';
    await t.test(`production, ${bundler}, with the hub in serverExternalPackages`, (t) =>
      buildAndServe(t, app, bundler, { FIXTURE_EXTERNAL: '1' }),
    );
  });

  test(`${fixture} with the hub as a linked directory`, async (t) => {
    const app = await makeApp(fixture, 'directory');
    const link = path.join(app.directory, 'node_modules', '@captify-io', 'hub');
    assert.ok(fs.lstatSync(link).isSymbolicLink(), 'npm links a directory');
    for (const bundler of bundlers) {
      await t.test(`production, ${bundler}`, (t) => buildAndServe(t, app, bundler));
      await t.test(`development, ${bundler}`, (t) => serve(t, app, 'development', bundler));
    }
  });
}
