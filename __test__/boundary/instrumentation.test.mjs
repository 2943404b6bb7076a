// How startServer knows that the app has registered its handlers, and how edited ones get there in development.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { until } from '../support/processes.mjs';

const require = createRequire(import.meta.url);
const { instrumentationRegistered } = require('../../js/next/instrumentation.js');
const { EditedHandlers } = require('../../js/next/development.js');
const { addHandlers } = require('../../js/shared/handler-registry.js');
const { nextConfig } = require('../../js/next/next-config.js');

/** A server that notes its requests and answers them when told to. */
async function answering(t, status = 204, headers = {}) {
  const seen = [];
  const held = [];
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    held.push(() => response.writeHead(status, headers).end());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const answer = () => held.splice(0).forEach((respond) => respond());
  return { url: `http://127.0.0.1:${server.address().port}`, seen, answer };
}

/** An app's directory, with the route that registers its handlers unless told otherwise. */
async function appDirectory(t, file = path.join('src', 'app', 'api', 'ws-handlers', 'route.ts')) {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-app-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  if (file) {
    await fs.mkdir(path.join(directory, path.dirname(file)), { recursive: true });
    await fs.writeFile(path.join(directory, file), '');
  }
  return directory;
}

const agent = { url: '/ws/agent?threadId=1' };
const plain = { basePath: '', trailingSlash: false, pageExtensions: ['tsx', 'ts', 'jsx', 'js'] };

test("in production it waits for what Next's first request would wait for", async () => {
  let register;
  const prepared = new Promise((resolve) => (register = resolve));
  const app = { server: { getServer: async () => ({ prepare: () => prepared }) } };
  let done = false;
  const waiting = instrumentationRegistered(app, false, 'http://127.0.0.1:1').then(() => (done = true));
  await new Promise(setImmediate);
  assert.equal(done, false);
  register();
  await waiting;
});

test('a register() that fails fails the start', async () => {
  const failing = async () => Promise.reject(new Error('on purpose'));
  const app = { server: { getServer: async () => ({ prepare: failing }) } };
  await assert.rejects(instrumentationRegistered(app, false, 'http://127.0.0.1:1'), /on purpose/);
});

test('in development Next has waited already', async () => {
  await instrumentationRegistered({}, true, 'http://127.0.0.1:1');
});

test('a Next without that promise is asked for a file that is not there', async (t) => {
  const { url, seen, answer } = await answering(t, 404);
  const waiting = instrumentationRegistered({ server: {} }, false, url);
  await until('the request', () => seen.length === 1);
  answer();
  await waiting;
  assert.deepEqual(seen, ['HEAD /_next/static/none']);
});

for (const file of [
  'src/app/api/ws-handlers/route.ts',
  'app/api/ws-handlers/route.js',
  'app/(internal)/api/ws-handlers/route.ts',
  'src/app/(a)/(b)/api/(c)/ws-handlers/(d)/route.tsx',
  'pages/api/ws-handlers.ts',
  'src/pages/api/ws-handlers/index.js',
]) {
  test(`an upgrade waits for ${file}, one request for all that wait`, async (t) => {
    const { url, seen, answer } = await answering(t);
    const edited = new EditedHandlers(await appDirectory(t, file), url, plain);
    let done = 0;
    const waiting = [agent, agent, { url: '/ws/other' }].map((request) =>
      edited.refresh(request).then(() => (done += 1)),
    );
    await until('the request', () => seen.length > 0);
    assert.equal(done, 0);
    answer();
    await Promise.all(waiting);
    assert.deepEqual(seen, ['GET /api/ws-handlers']);
    const again = edited.refresh(agent);
    await until('the next request', () => seen.length === 2);
    answer();
    await again;
  });
}

test('an app without the route, and the endpoint in Rust, wait for nothing', async (t) => {
  assert.equal(new EditedHandlers(await appDirectory(t, null), 'http://127.0.0.1:1', plain).refresh(agent), undefined);
  const edited = new EditedHandlers(await appDirectory(t), 'http://127.0.0.1:1', plain);
  assert.equal(edited.refresh({ url: '/ws/fabric?documentId=d&clientID=c' }), undefined);
});

test('a route that fails or is redirected is logged, and the upgrade goes on', async (t) => {
  const written = [];
  const write = t.mock.method(process.stderr, 'write', (text) => written.push(text));
  const { url, seen, answer } = await answering(t, 307, { location: '/login' });
  const directory = await appDirectory(t);
  const redirected = new EditedHandlers(directory, url, plain).refresh(agent);
  await until('the request', () => seen.length === 1);
  answer();
  await redirected;
  await new EditedHandlers(directory, 'http://127.0.0.1:1', plain).refresh(agent);
  write.mock.restore();
  const ours = written.filter((text) => text.includes('ws-handlers'));
  assert.equal(ours.length, 2);
  assert.match(ours[0], /^\[hub\] warn: .*was redirected to \/login with 307\n$/);
  assert.match(ours[1], /failed: /);
});

for (const file of [
  'app/internal/api/ws-handlers/route.ts',
  'app/(.)api/ws-handlers/route.ts',
  'app/api/ws-handlers/page.tsx',
  'app/api/ws-handlers/route.css',
  'app/api/(ws-handlers)/route.ts',
]) {
  test(`${file} is no such route`, async (t) => {
    assert.equal(
      new EditedHandlers(await appDirectory(t, file), 'http://127.0.0.1:1', plain).refresh(agent),
      undefined,
    );
  });
}

for (const [config, target] of [
  [{ ...plain, trailingSlash: true }, '/api/ws-handlers/'],
  [{ ...plain, basePath: '/docs/app' }, '/docs/app/api/ws-handlers'],
  [{ ...plain, basePath: '/app', trailingSlash: true }, '/app/api/ws-handlers/'],
]) {
  test(`${target} is asked for, where the app's configuration has it there`, async (t) => {
    const { url, seen, answer } = await answering(t);
    const waiting = new EditedHandlers(await appDirectory(t), url, config).refresh(agent);
    await until('the request', () => seen.length === 1);
    answer();
    await waiting;
    assert.deepEqual(seen, [`GET ${target}`]);
  });
}

test("a file counts by the app's own page extensions", async (t) => {
  const directory = await appDirectory(t, 'app/api/ws-handlers/route.api.ts');
  const edited = (pageExtensions) => new EditedHandlers(directory, 'http://127.0.0.1:1', { ...plain, pageExtensions });
  t.mock.method(process.stderr, 'write', () => true);
  assert.equal(edited(['tsx', 'ts']).refresh(agent), undefined);
  await edited(['page.tsx', 'api.ts']).refresh(agent);
});

test('an app with handlers and without the route is told so, once', async (t) => {
  const written = [];
  t.mock.method(process.stderr, 'write', (text) => written.push(text));
  const edited = new EditedHandlers(await appDirectory(t, null), 'http://127.0.0.1:1', plain);
  edited.refresh(agent);
  assert.deepEqual(written, [], 'there is no handler to edit');
  const nothing = () => {};
  addHandlers([{ path: '/ws/agent', onConnect: nothing, onMessage: nothing, onClose: nothing, onError: nothing }]);
  for (let time = 0; time < 3; time += 1) assert.equal(edited.refresh(agent), undefined);
  assert.equal(written.length, 1);
  assert.match(written[0], /edited handlers take effect after a restart: the app has no route \/api\/ws-handlers/);
});

test('a page in the place of the route, as middleware gives it, is logged once until the route answers', async (t) => {
  const written = [];
  const { url, seen, answer } = await answering(t, 200, { 'content-type': 'text/html; charset=utf-8' });
  const edited = new EditedHandlers(await appDirectory(t), url, plain);
  const write = t.mock.method(process.stderr, 'write', (text) => written.push(text));
  for (let time = 1; time <= 2; time += 1) {
    const waiting = edited.refresh(agent);
    await until('the request', () => seen.length === time);
    answer();
    await waiting;
  }
  write.mock.restore();
  assert.equal(written.filter((text) => /was answered with a page, maybe by middleware/.test(text)).length, 1);
});

test("what is asked of Next's configuration has defaults, where a version keeps it elsewhere", async () => {
  const known = { basePath: '/app', trailingSlash: true, pageExtensions: ['page.tsx'] };
  const app = (config) => ({ server: { getServer: async () => ({ nextConfig: config }) } });
  assert.deepEqual(await nextConfig(app(known)), known);
  for (const other of [app(undefined), app({}), {}, { server: {} }]) assert.deepEqual(await nextConfig(other), plain);
});
