// The shipped nginx file and what is in headers: who ended TLS, and how long they may be. The app is a hub without Next.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import test, { after, before, describe } from 'node:test';
import { HubServer } from './support/hub-server.mjs';
import { behindTls, hostName, startNginx } from './support/nginx.mjs';

const KEY = { 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket', ...KEY };
const TARGET = '/ws/fabric?documentId=document&clientID=client';

/** The status of a request over HTTP/1.1, 101 of an upgrade too. */
async function statusOf(nginx, path, { secure = true, headers = {} } = {}) {
  const limits = { agent: false, maxHeaderSize: 64 * 1024 };
  const options = { host: '127.0.0.1', path, headers: { host: hostName, ...headers }, ...limits };
  const request = secure
    ? https.request({ ...options, port: nginx.httpsPort, ca: nginx.certificate, servername: hostName })
    : http.request({ ...options, port: nginx.httpPort });
  request.end();
  return new Promise((resolve, reject) => {
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
  });
}

async function statusOverHttp2(nginx, path, headers = {}) {
  const session = http2.connect(`https://127.0.0.1:${nginx.httpsPort}`, {
    ca: nginx.certificate,
    servername: hostName,
  });
  try {
    const stream = session.request({ ':path': path, ':authority': hostName, ...headers });
    const [{ ':status': status }] = await once(stream, 'response');
    return status;
  } finally {
    session.destroy();
  }
}

/** A session token of so many bytes as Auth.js cuts it. */
function chunks(bytes) {
  const cookies = [];
  for (let left = bytes; left > 0; left -= 3936)
    cookies.push(`__Secure-authjs.session-token.${cookies.length}=${'x'.repeat(Math.min(left, 3936))}`);
  return cookies;
}

function serve(request, response) {
  const { searchParams } = new URL(request.url, 'http://app');
  const login = Number(searchParams.get('login'));
  const attributes = '; Path=/; Expires=Thu, 26 Nov 2099 01:00:00 GMT; HttpOnly; Secure; SameSite=Lax';
  if (login > 0)
    response.setHeader(
      'set-cookie',
      chunks(login).map((each) => each + attributes),
    );
  response.end('page');
}

let app;
before(async () => (app = await HubServer.start({ trustProxy: 'loopback', listener: serve })));
after(() => app.close());

describe('where something ends TLS before nginx', () => {
  let nginx;
  before(async () => (nginx = await startNginx(app.port, behindTls)));
  after(() => nginx?.stop());
  const enter = (proto, Origin) =>
    statusOf(nginx, TARGET, {
      secure: false,
      headers: { ...UPGRADE, Origin, ...(proto !== undefined && { 'x-forwarded-proto': proto }) },
    });

  test('a page from HTTPS comes in, as whoever ended TLS writes it', async () => {
    for (const proto of ['https', 'HTTPS', 'wss', 'http, https', 'http,https']) {
      assert.equal(await enter(proto, `https://${hostName}`), 101, proto);
      assert.equal(await enter(proto, `http://${hostName}`), 403, proto);
    }
  });

  test('a page from HTTP comes in where HTTP was used', async () => {
    for (const proto of [undefined, '', 'http', 'ws', 'https, http', 'httpsx', 'ftp']) {
      assert.equal(await enter(proto, `http://${hostName}`), 101, proto);
      assert.equal(await enter(proto, `https://${hostName}`), 403, proto);
    }
  });

  test('pages are served and not sent to HTTPS for ever', async () => {
    assert.equal(await statusOf(nginx, '/', { secure: false, headers: { 'x-forwarded-proto': 'https' } }), 200);
  });
});

describe('where nginx ends TLS', () => {
  let nginx;
  before(async () => (nginx = await startNginx(app.port)));
  after(() => nginx?.stop());

  test('nothing that a client says about the scheme makes another of it', async () => {
    const headers = { ...UPGRADE, 'x-forwarded-proto': 'http' };
    assert.equal(await statusOf(nginx, TARGET, { headers: { ...headers, Origin: `https://${hostName}` } }), 101);
    assert.equal(await statusOf(nginx, TARGET, { headers: { ...headers, Origin: `http://${hostName}` } }), 403);
    const plain = { secure: false, headers: { 'x-forwarded-proto': 'https' } };
    assert.equal(await statusOf(nginx, '/', plain), 308);
  });

  test('cookies of what Node takes come through, to pages and to the hub', async () => {
    for (const kilobytes of [1, 5, 9, 12, 14]) {
      const cookie = chunks(kilobytes * 1024).join('; ');
      const origin = `https://${hostName}`;
      assert.equal(await statusOf(nginx, '/', { headers: { cookie } }), 200, `a page with ${kilobytes} KB`);
      assert.equal(await statusOverHttp2(nginx, '/', { cookie }), 200, `a page over HTTP/2 with ${kilobytes} KB`);
      assert.equal(await statusOf(nginx, TARGET, { headers: { ...UPGRADE, origin, cookie } }), 101, `${kilobytes} KB`);
    }
  });

  test('of longer ones it is Node that says so', async () => {
    for (const kilobytes of [17, 24]) {
      const cookie = chunks(kilobytes * 1024).join('; ');
      assert.equal(await statusOf(nginx, '/', { headers: { cookie } }), 431, `${kilobytes} KB`);
      assert.equal(await statusOverHttp2(nginx, '/', { cookie }), 431, `${kilobytes} KB over HTTP/2`);
      assert.equal(
        await statusOf(nginx, TARGET, { headers: { ...UPGRADE, cookie } }),
        431,
        `${kilobytes} KB to the hub`,
      );
    }
  });

  test('an answer may set all of them', async () => {
    for (const kilobytes of [3, 6, 14, 24]) {
      const path = `/?login=${kilobytes * 1024}`;
      assert.equal(await statusOf(nginx, path), 200, `${kilobytes} KB`);
      assert.equal(await statusOverHttp2(nginx, path), 200, `${kilobytes} KB over HTTP/2`);
    }
  });
});
