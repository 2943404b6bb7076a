// The shipped nginx file in a real nginx, in front of a Next app built for production.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import test from 'node:test';
import { FabricClient } from './support/fabric-client.mjs';
import { makeApp } from './support/fixture-apps.mjs';
import { hostName, startNginx } from './support/nginx.mjs';
import { until } from './support/processes.mjs';

/** A request whose Host header, and server name where there is TLS, is the one that nginx serves. */
async function ask(nginx, path, { secure = true, headers = {}, method = 'GET', body } = {}) {
  const port = secure ? nginx.httpsPort : nginx.httpPort;
  const host = `${hostName}:${port}`;
  const trust = secure ? { ca: nginx.certificate, servername: hostName } : {};
  const options = { host: '127.0.0.1', port, path, method, agent: false, headers: { host, ...headers }, ...trust };
  const request = (secure ? https : http).request(options).end(body);
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

function base(nginx, secure) {
  return secure ? `wss://127.0.0.1:${nginx.httpsPort}` : `ws://127.0.0.1:${nginx.httpPort}`;
}

function trust(nginx, secure) {
  const headers = { host: hostName };
  return secure ? { headers, ca: nginx.certificate, servername: hostName } : { headers };
}

test('nginx in front of the app, by the shipped file', { timeout: 600_000 }, async (t) => {
  const app = await makeApp('next16', 'tarball');
  await app.build('turbopack');
  const service = await app.start('production', 'turbopack');
  t.after(() => service.stop('SIGKILL'));
  const nginx = await startNginx(service.port);
  t.after(() => nginx.stop());

  await t.test('nginx has no warning about the file', () => {
    // `http2` on the listen line is the only spelling that nginx before 1.25.1 has; later ones warn of it.
    const warnings = nginx.verdict.split('\n').filter((line) => line.includes('[warn]'));
    assert.deepEqual(
      warnings.filter((line) => !line.includes('"listen ... http2"')),
      [],
    );
  });

  await t.test('pages, the catch-all page and route handlers come through HTTPS', async () => {
    const home = await ask(nginx, '/');
    assert.equal(home.status, 200);
    assert.match(home.text, /fixture home/);
    assert.match((await ask(nginx, '/deep/down?x=1')).text, /catch-all \/deep\/down/);
    const counts = JSON.parse((await ask(nginx, '/api/counts?documentId=d')).text);
    assert.equal(counts.fabric, 0);
  });

  await t.test('pages come through HTTP/2', async (t) => {
    const session = http2.connect(base(nginx, true).replace('wss', 'https'), trust(nginx, true));
    t.after(() => session.destroy());
    const authority = `${hostName}:${nginx.httpsPort}`;
    const stream = session.request({ ':path': '/api/headers', ':authority': authority }).setEncoding('utf8');
    let text = '';
    for await (const chunk of stream) text += chunk;
    assert.equal(JSON.parse(text)['x-forwarded-host'], authority);
  });

  await t.test('a page asked for by HTTP is sent to HTTPS with its path and method', async () => {
    const answer = await ask(nginx, '/deep/down?x=1', { secure: false, method: 'POST', body: '{}' });
    assert.equal(answer.status, 308);
    assert.equal(answer.headers.location, `https://${hostName}/deep/down?x=1`);
  });

  await t.test('the app sees who asked, by which host and scheme', async () => {
    const host = `${hostName}:${nginx.httpsPort}`;
    const seen = JSON.parse((await ask(nginx, '/api/headers')).text);
    assert.equal(seen.host, host);
    assert.equal(seen['x-forwarded-host'], host);
    assert.equal(seen['x-forwarded-proto'], 'https');
    assert.equal(seen['x-forwarded-for'], '127.0.0.1');
    assert.equal(seen['x-real-ip'], '127.0.0.1');
  });

  await t.test('a client cannot make up its own address', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.9', 'x-real-ip': '203.0.113.9', 'x-forwarded-proto': 'ftp' };
    const seen = JSON.parse((await ask(nginx, '/api/headers', { headers })).text);
    assert.equal(seen['x-forwarded-for'], '127.0.0.1');
    assert.equal(seen['x-real-ip'], '127.0.0.1');
    assert.equal(seen['x-forwarded-proto'], 'https');
  });

  await t.test('a request that offers h2c is served as the plain request it can be', async () => {
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' };
    const answer = await ask(nginx, '/deep/down', { headers });
    assert.equal(answer.status, 200);
  });

  for (const secure of [true, false]) {
    const scheme = secure ? 'wss' : 'ws';
    await t.test(`${scheme} clients reach the hub, and it reaches them`, async (t) => {
      const anna = await FabricClient.connect(base(nginx, secure), scheme, 'anna', trust(nginx, secure));
      t.after(() => anna.drop());
      const ben = await FabricClient.connect(base(nginx, secure), scheme, 'ben', trust(nginx, secure));
      t.after(() => ben.drop());
      anna.send({ type: 'update', documentId: scheme, update: 'x'.repeat(200_000) });
      const update = await ben.received((message) => message.type === 'update');
      assert.equal(update.clientID, 'anna');
      assert.equal(update.update.length, 200_000);

      const body = JSON.stringify({ call: 'broadcastSteps', documentId: scheme, steps: [{ from: 1 }], changeId: 'c' });
      const answer = await ask(nginx, '/api/broadcast', { method: 'POST', body });
      assert.deepEqual(JSON.parse(answer.text), { delivered: 2 });
      for (const client of [anna, ben]) await client.received((message) => message.changeId === 'c');

      await anna.close();
      await ben.close();
      const counted = async () => JSON.parse((await ask(nginx, `/api/counts?documentId=${scheme}`)).text).count;
      await until('the count to be 0', async () => (await counted()) === 0);
    });
  }

  await t.test("the hub's refusals come through", async () => {
    for (const [path, reason] of [
      ['/ws', 'No handler for /ws'],
      ['/ws/fabric', 'Missing documentId or clientID'],
    ]) {
      const client = new FabricClient(base(nginx, true) + path, trust(nginx, true));
      assert.deepEqual(await client.closing(), { code: 1003, reason });
    }
  });

  await t.test('when the app shuts down, every client behind nginx is closed with 1012', async (t) => {
    const clients = [];
    t.after(() => clients.forEach((client) => client.drop()));
    for (const secure of [true, false]) {
      clients.push(await FabricClient.connect(base(nginx, secure), 'last', 'anna', trust(nginx, secure)));
    }
    const ended = service.stop('SIGTERM');
    for (const client of clients) assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await ended, { code: 0, signal: null });
  });

  await t.test('a page asked for while the app is down is answered with 502', async () => {
    assert.equal((await ask(nginx, '/')).status, 502);
  });
});

test('the headers that an upgrade arrives with', { timeout: 120_000 }, async (t) => {
  // In place of the app: a server that only notes them, and refuses.
  const seen = [];
  const server = http.createServer((request, response) => response.end());
  server.on('upgrade', (request, socket) => {
    seen.push({ url: request.url, headers: request.headers });
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  const nginx = await startNginx(server.address().port);
  t.after(() => nginx.stop());

  // The last two are where Next has had its hot-reload socket; it is to need no line in the file.
  for (const path of ['/ws/fabric?documentId=d&clientID=c', '/_next/hmr?id=1', '/_next/webpack-hmr']) {
    for (const secure of [true, false]) {
      const sent = { 'x-forwarded-for': '203.0.113.9', cookie: 'session=1', origin: `https://${hostName}` };
      const options = { ...trust(nginx, secure), headers: { host: hostName, ...sent } };
      const client = new FabricClient(base(nginx, secure) + path, options);
      await client.closing();
      const { url, headers } = seen.at(-1);
      assert.equal(url, path);
      assert.equal(headers.upgrade, 'websocket');
      assert.equal(headers.connection, 'upgrade');
      assert.equal(headers.host, hostName);
      assert.equal(headers['x-forwarded-host'], hostName);
      assert.equal(headers['x-forwarded-proto'], secure ? 'https' : 'http');
      assert.equal(headers['x-forwarded-for'], '127.0.0.1');
      assert.equal(headers.cookie, 'session=1');
      assert.equal(headers.origin, `https://${hostName}`);
    }
  }
  assert.equal(seen.length, 6);
});
