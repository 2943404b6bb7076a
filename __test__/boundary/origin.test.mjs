// Whose pages may open a WebSocket: same origin by default, an allow-list, and what counts behind a proxy.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { describe } from 'node:test';
import { createHub } from '../../js/server.js';
import { HubServer, overEveryWay } from '../support/hub-server.mjs';
import { outcome, statusOf } from '../support/admission.mjs';

async function withHub(options, visit) {
  const server = await HubServer.start(options);
  try {
    await visit(server);
  } finally {
    await server.close();
  }
}

overEveryWay((at) => {
  test('the page of the same origin, and a client that is no browser, come in', async () => {
    const scheme = at.server.secure ? 'https' : 'http';
    assert.equal(await statusOf(at.server, {}), 101);
    assert.equal(await statusOf(at.server, { Host: 'app.example', Origin: `${scheme}://app.example` }), 101);
    assert.equal(await statusOf(at.server, { Host: 'app.example:8080', Origin: `${scheme}://app.example:8080` }), 101);
  });

  test('a page of any other origin is refused before the handshake', async () => {
    const origins = [
      'https://evil.example',
      'https://app.example.evil.example',
      'https://evilapp.example',
      'https://app.example:444',
      'https://sub.app.example',
      'null',
      '',
      'file://',
      'javascript:alert(1)',
      'https://app.example/path',
      'https://user@app.example',
      'chrome-extension://abcdef',
    ];
    for (const Origin of origins) {
      const { status } = await outcome(at.server, { Host: 'app.example', Origin });
      assert.equal(status, 403, Origin);
    }
    const client = await at.server.connect('beside');
    await client.synced('beside');
  });
});

test('two origins are none, also where one of them is the right one', async () => {
  await withHub({}, async (server) => {
    const own = { Host: 'app.example', Origin: 'http://app.example' };
    assert.equal(await statusOf(server, { ...own, origin: 'http://evil.example' }), 403);
    assert.equal(
      await statusOf(server, { Host: 'app.example', origin: 'http://evil.example', Origin: own.Origin }),
      403,
    );
  });
});

test('the scheme counts where it is known: no http page opens a WebSocket over TLS', async () => {
  await withHub({ way: 'TLS' }, async (server) => {
    assert.equal(await statusOf(server, { Host: 'app.example', Origin: 'http://app.example' }), 403);
  });
});

test('allowedOrigins adds origins, and every subdomain of one', async () => {
  await withHub(
    { allowedOrigins: ['https://one.example', 'https://*.two.example', 'http://three.example:81'] },
    async (server) => {
      const status = (Origin) => statusOf(server, { Host: 'app.example', Origin });
      for (const origin of [
        'https://one.example',
        'https://a.two.example',
        'https://a.b.two.example',
        'http://three.example:81',
        'http://app.example',
      ]) {
        assert.equal(await status(origin), 101, origin);
      }
      for (const origin of [
        'http://one.example',
        'https://two.example',
        'https://eviltwo.example',
        'https://a.two.example:1',
        'http://three.example',
      ]) {
        assert.equal(await status(origin), 403, origin);
      }
    },
  );
});

test("allowedOrigins 'any' lets every page in", async () => {
  await withHub({ allowedOrigins: 'any' }, async (server) => {
    assert.equal(await statusOf(server, { Origin: 'https://evil.example' }), 101);
    assert.equal(await statusOf(server, { Origin: 'null' }), 101);
  });
});

test('an origin with its scheme’s own port is the same one, of the server and of the list', async () => {
  const allowedOrigins = ['https://one.example:443', 'http://two.example'];
  await withHub({ allowedOrigins }, async (server) => {
    for (const [Host, Origin, expected] of [
      ['app.example', 'https://app.example:443', 101],
      ['app.example', 'http://app.example:80', 101],
      ['app.example:443', 'https://app.example', 101],
      ['App.Example', 'HTTPS://app.example:443', 101],
      ['[::1]:443', 'https://[::1]', 101],
      ['app.example', 'https://app.example:80', 403],
      ['app.example', 'http://app.example:443', 403],
      ['inner', 'https://one.example', 101],
      ['inner', 'https://one.example:443', 101],
      ['inner', 'http://two.example:80', 101],
      ['inner', 'http://two.example:81', 403],
    ]) {
      assert.equal(await statusOf(server, { Host, Origin }), expected, `${Host} ${Origin}`);
    }
  });
});

test('allowedOrigins has apps that are no web pages, letter by letter', async () => {
  const apps = [
    'capacitor://localhost',
    'tauri://localhost',
    'app://.',
    'chrome-extension://abcdef',
    'file://',
    'null',
  ];
  await withHub({ allowedOrigins: apps }, async (server) => {
    for (const Origin of apps) assert.equal(await statusOf(server, { Origin }), 101, Origin);
    for (const Origin of ['capacitor://localhost:1', 'capacitor://evil', 'tauri://localhost/', 'app://', 'nullx', ''])
      assert.equal(await statusOf(server, { Origin }), 403, Origin);
  });
});

test('a list of headers that Node may have cut is refused with 431, whatever is behind the cut', async () => {
  const filler = (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`h${index}`, 'x']));
  await withHub({ trustProxy: 'loopback' }, async (server) => {
    assert.equal(await statusOf(server, { ...filler(900), Origin: 'https://evil.example' }), 403);
    assert.equal(await statusOf(server, { ...filler(1100), Origin: 'https://evil.example' }), 431);
    server.server.maxHeadersCount = 32;
    assert.equal(await statusOf(server, { ...filler(40), Origin: 'https://evil.example' }), 431);
    server.server.maxHeadersCount = 0;
    assert.equal(await statusOf(server, { ...filler(1100), Origin: 'https://evil.example' }), 403);
    assert.equal(await statusOf(server, filler(1100)), 101);
  });
});

describe('what a proxy says', () => {
  const said = { Host: '127.0.0.1:3000', 'X-Forwarded-Host': 'app.example', 'X-Forwarded-Proto': 'https' };

  test('counts from a trusted proxy', async () => {
    await withHub({ trustProxy: 'loopback' }, async (server) => {
      assert.equal(await statusOf(server, { ...said, Origin: 'https://app.example' }), 101);
      assert.equal(await statusOf(server, { ...said, Origin: 'http://app.example' }), 403);
      assert.equal(await statusOf(server, { ...said, Origin: 'http://127.0.0.1:3000' }), 403);
    });
  });

  test('does not count from anybody else', async () => {
    await withHub({ trustProxy: '10.0.0.0/8' }, async (server) => {
      assert.equal(await statusOf(server, { ...said, Origin: 'https://app.example' }), 403);
      assert.equal(await statusOf(server, { ...said, Origin: 'http://127.0.0.1:3000' }), 101);
    });
  });
});

test('options of origin and proxies that make no sense are refused by name', () => {
  const wrong = [
    [{ allowedOrigins: 'https://a.example' }, /allowedOrigins/],
    [{ allowedOrigins: ['a.example'] }, /allowedOrigins/],
    [{ allowedOrigins: ['https://*'] }, /allowedOrigins/],
    [{ allowedOrigins: ['wss://a.example'] }, /allowedOrigins/],
    [{ allowedOrigins: ['capacitor://*'] }, /allowedOrigins/],
    [{ allowedOrigins: ['https://a.example/path'] }, /allowedOrigins/],
    [{ trustProxy: true }, /trustProxy/],
    [{ trustProxy: ['nginx'] }, /trustProxy/],
    [{ trustProxy: ['10.0.0.0/33'] }, /trustProxy/],
    [{ trustProxy: ['10.0.0.0/'] }, /trustProxy/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => createHub({ logLevel: 'off', ...options }), { code: 'HUB_INVALID_ARGUMENT', message });
  }
});

test('a proxy on a unix-domain socket is trusted by its own name, and as loopback', async (t) => {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-unix-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  for (const [trustProxy, expected] of [
    ['unix', '101'],
    ['loopback', '101'],
    ['private', '403'],
    [false, '403'],
  ]) {
    await withHub({ trustProxy }, async ({ hub }) => {
      const server = http.createServer();
      hub.attach(server);
      const file = path.join(directory, `${trustProxy}.sock`);
      await once(server.listen(file), 'listening');
      const client = net.connect(file);
      client.write(
        'GET /ws/fabric?documentId=d&clientID=c HTTP/1.1\r\nHost: inner\r\nOrigin: https://app.example\r\n' +
          'X-Forwarded-Host: app.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9, unix:\r\n' +
          'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
      const [data] = await once(client, 'data');
      assert.equal(data.toString('latin1').split(' ')[1], expected, String(trustProxy));
      client.destroy();
      server.close();
    });
  }
});
