// The shipped nginx file in a real nginx, in front of two processes that real PM2 runs on a port each, over a real Redis.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { byFabricClient, Editing } from '../bench/lib/editing.mjs';
import { FabricClient } from '../js/client.js';
import { ROOT, chapter } from './support/documents.mjs';
import { FabricClient as Client } from './support/fabric-client.mjs';
import { behindTls, hostName, startNginx } from './support/nginx.mjs';
import { isAlive, Pm2 } from './support/pm2.mjs';
import { freePorts } from './support/ports.mjs';
import { until } from './support/processes.mjs';
import { SECRET, startHub, startRedis } from './support/redis.mjs';
import { makeStubApp } from './support/stub-app.mjs';

const CLIENTS = 60;

/** How long a process takes to start. */
const START_MS = 1500;

/** Two ports, one after the other, since that is how PM2 counts. */
async function neighbours() {
  for (;;) {
    const [port] = await freePorts(1);
    const next = http.createServer().listen(port + 1, '127.0.0.1');
    const isThere = await Promise.race([
      once(next, 'listening').then(() => true),
      once(next, 'error').then(() => false),
    ]);
    if (!isThere) continue;
    await once(next.close(), 'close');
    return [port, port + 1];
  }
}

/** An app as the documents say to run it: the shipped file, and what they say to write beside it. */
function makeApp() {
  const app = makeStubApp({ options: "{ hub: { logLevel: 'info', limits: false, trustProxy: 'loopback' } }" });
  fs.copyFileSync(path.join(ROOT, 'ecosystem.cluster.config.cjs'), path.join(app, 'ecosystem.cluster.config.cjs'));
  const [, documented] = /```js\n\/\/ ecosystem\.ports\.config\.cjs\n([^]*?)```/.exec(
    chapter('docs/operations.md', '## PM2'),
  );
  const config = path.join(app, 'ecosystem.ports.config.cjs');
  fs.writeFileSync(config, `${documented}\nconfig.apps[0].args = '-H 127.0.0.1';\n`);
  return config;
}

/** Asks over a connection of its own; resolves with `{ status, text }`. */
async function ask(port, target, { host } = {}) {
  const request = http.get({ host: '127.0.0.1', port, path: target, agent: false, headers: host ? { host } : {} });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode, text };
}

test('nginx in front of two processes, by the shipped file', { timeout: 300_000 }, async (t) => {
  const redis = await startRedis(t);
  const ports = await neighbours();
  const pm2 = new Pm2({
    PORT: String(ports[0]),
    HUB_REDIS_URL: redis.url,
    HUB_TOKEN_SECRET: SECRET,
    STUB_START_MS: String(START_MS),
  });
  t.after(() => pm2.kill());
  await pm2.call('start', makeApp());
  // Plain HTTP serves pages as well where something ends TLS before nginx; the rest of the file is the same.
  const nginx = await startNginx(ports, behindTls);
  t.after(() => nginx.stop());
  const base = `ws://127.0.0.1:${nginx.httpPort}`;
  const host = `${hostName}:${nginx.httpPort}`;
  const connect = byFabricClient(FabricClient, base, {
    WebSocket: class extends WebSocket {
      constructor(url) {
        super(url, { headers: { host } });
      }
    },
  });
  const editing = new Editing({ documents: 10, perDocument: CLIENTS / 10, everyMs: 100, connect });
  t.after(() => editing.close());

  const counts = () => Promise.all(ports.map(async (port) => JSON.parse((await ask(port, '/count')).text).count));
  /** Each has its half, give or take. */
  const isSpread = (all) => all.every((count) => count >= CLIENTS / 3) && all[0] + all[1] === CLIENTS;

  const part = (name, prove) =>
    t.test(name, async () => {
      try {
        await prove();
      } catch (error) {
        error.message += `\n${pm2.daemonLog()}\n${pm2.processLogs()}\n${nginx.output}`;
        throw error;
      }
    });

  await part('nginx has no warning about the file', () => {
    const warnings = nginx.verdict.split('\n').filter((line) => line.includes('[warn]'));
    assert.deepEqual(
      warnings.filter((line) => !line.includes('"listen ... http2"')),
      [],
    );
  });

  await part('PM2 gives each process a port of its own, in fork mode', async () => {
    const processes = await pm2.instances('captify');
    assert.deepEqual(
      processes.map(({ mode, status, port }) => [mode, status, Number(port)]),
      ports.map((port) => ['fork_mode', 'online', port]),
    );
  });

  await part('WebSockets are spread over the processes, and so are pages', async () => {
    await editing.start();
    assert.ok(isSpread(await counts()), `${await counts()}`);
    const seen = new Set();
    for (let asked = 0; asked < 4; asked += 1) {
      seen.add(JSON.parse((await ask(nginx.httpPort, '/count', { host })).text).process);
    }
    assert.equal(seen.size, 2);
  });

  await part('clients of a process that is killed come back to the other one and have missed nothing', async () => {
    const [{ pid }] = await pm2.instances('captify');
    const [before] = await counts();
    process.kill(pid, 'SIGKILL');
    await until(
      'all of them to be closed',
      () => editing.editors.filter(({ downs }) => downs.length).length === before,
    );
    await editing.back(0);
    assert.equal(editing.report().reloaded, 0);
    await until('PM2 to have started another', async () => {
      const all = await pm2.instances('captify');
      return all.every((each) => each.pid !== pid && each.status === 'online');
    });
  });

  await part('a process that was started anew gets the next WebSockets', async () => {
    await until('nginx to ask it again', async () => {
      const [fresh] = await counts();
      const client = await Client.connect(base, 'another', `probe-${Date.now()}`, { headers: { host } });
      const isThere = (await counts())[0] === fresh + 1;
      await client.close();
      return isThere;
    });
  });

  await part('while both are restarted in turn every page and every new WebSocket is served', async () => {
    const old = await pm2.instances('captify');
    const faults = [];
    let asked = 0;
    let isOver = false;
    const pages = (async () => {
      while (!isOver) {
        const { status } = await ask(nginx.httpPort, '/', { host }).catch(({ code }) => ({ status: code }));
        if (status !== 200) faults.push(`page: ${status}`);
        asked += 1;
        await delay(10);
      }
    })();
    const sockets = (async () => {
      for (let number = 0; !isOver; number += 1) {
        const client = new Client(`${base}/ws/fabric?documentId=visited&clientID=visitor-${number}`, {
          headers: { host },
        });
        await client
          .received(({ type }) => type === 'connected')
          .catch((error) => faults.push(`socket: ${error.message}`));
        client.drop();
        asked += 1;
        await delay(20);
      }
    })();
    try {
      await pm2.call('reload', 'captify', '--parallel', '1');
      await until('the end of the old processes', () => old.every(({ pid }) => !isAlive(pid)));
      await editing.back(1);
    } finally {
      isOver = true;
      await Promise.all([pages, sockets]);
    }
    t.diagnostic(`${asked} pages and sockets asked for`);
    assert.deepEqual(faults, []);
  });

  await part(
    'of all that was written meanwhile nothing was lost and nothing doubled, and nobody had to reload',
    async () => {
      await editing.stop();
      const report = editing.report();
      t.diagnostic(JSON.stringify(report));
      const { lost, doubled, reloaded } = report;
      assert.deepEqual({ lost, doubled, reloaded }, { lost: 0, doubled: 0, reloaded: 0 });
    },
  );

  await part('with both of them down a page is 502, and both are asked again soon after they are back', async () => {
    await pm2.call('stop', 'captify');
    assert.equal((await ask(nginx.httpPort, '/', { host })).status, 502);
    await pm2.call('start', 'captify');
    await editing.back(1);
    await until('everybody', async () => (await counts())[0] + (await counts())[1] >= CLIENTS);
    assert.equal(editing.report().reloaded, 0);
    await until('pages', async () => (await ask(nginx.httpPort, '/', { host })).status === 200);
  });
});

test('by the line that is left out in the file all clients of a document come to one process', async (t) => {
  const { url } = await startRedis(t);
  const hubs = await Promise.all([startHub(t, url), startHub(t, url)]);
  const nginx = await startNginx(
    hubs.map(({ base }) => new URL(base).port),
    (text) => {
      const edited = text.replace(/^ *least_conn;$/m, '').replace('# hash $arg', 'hash $arg');
      assert.match(edited, /^ *hash \$arg_documentId consistent;$/m);
      return edited;
    },
  );
  t.after(() => nginx.stop());
  const base = `ws://127.0.0.1:${nginx.httpPort}`;
  for (let document = 0; document < 12; document += 1) {
    for (const name of ['ada', 'noor', 'kofi']) {
      const client = await Client.connect(base, `document-${document}`, name, { headers: { host: hostName } });
      t.after(() => client.drop());
    }
  }
  const followed = await until('the metrics to have them', async () => {
    const all = await Promise.all(hubs.map(({ ask }) => ask({ ask: 'metrics' })));
    const counts = all.map(
      ({ families }) => families.find(({ name }) => name === 'hub_redis_documents').values[0].value,
    );
    return counts[0] + counts[1] >= 12 && counts;
  });
  assert.equal(followed[0] + followed[1], 12, 'no document is in both');
  assert.ok(followed[0] > 0 && followed[1] > 0, `${followed}`);
});
