// How a hub reaches its Redis: by sentinels, and by TLS. tests/cluster_sentinel.rs and tests/cluster_tls.rs have the rest.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ensureSystemPackages } from '../scripts/system.mjs';
import { HubClient } from './support/hub-client.mjs';
import { freePorts } from './support/ports.mjs';
import { ending } from './support/programs.mjs';
import { startCluster, startHub, startProcess, startRedis, startSentinel } from './support/redis.mjs';

async function isReady(hub) {
  assert.deepEqual((await hub.ask({ ask: 'stats' })).redis, { ready: true });
}

test('a hub finds its Redis by sentinels, which a URL names or options', async (t) => {
  const { port } = await startRedis(t);
  const sentinel = await startSentinel(t, 'mymaster', port);
  const where = `127.0.0.1:${sentinel.port}`;
  const [byUrl, byOptions] = await Promise.all([
    startHub(t, `redis+sentinel://${where}/mymaster`),
    startHub(t, undefined, { redis: { sentinels: [where], name: 'mymaster', database: 0 } }),
  ]);
  await isReady(byUrl);
  await isReady(byOptions);
  const { code, output } = await ending(startProcess(`redis+sentinel://${where}/other`));
  assert.equal(code, 1, output);
  assert.match(output, /HUB_REDIS/);
  assert.match(output, /sentinel 127\.0\.0\.1:\d+: .*No such master/);
});

test('processes share a cluster, which a URL names or options, and do what one is told about users', async (t) => {
  const { port } = await startCluster(t);
  const where = `127.0.0.1:${port}`;
  const options = { users: true, logLevel: 'warn' };
  const [byUrl, byOptions] = await Promise.all([
    startHub(t, `redis+cluster://${where}`, options),
    startHub(t, undefined, { ...options, redis: { cluster: [where] } }),
  ]);
  await isReady(byUrl);
  await isReady(byOptions);
  const clients = [byUrl, byOptions].map(({ base }, index) => {
    return new HubClient(`${base}/ws/fabric?documentId=doc&clientID=c${index}&user=u&forMs=3600000`);
  });
  for (const client of clients) t.after(() => client.drop());
  const [a, b] = clients;
  await b.receivedAll('connected', 1);
  a.send({ type: 'update', documentId: 'doc', update: 1, id: 1 });
  assert.equal((await b.receivedAll('update', 1))[0].update, 1);
  await byUrl.ask({ ask: 'disconnectUser', userId: 'u' });
  assert.equal((await b.closing()).code, 4401);
  const { code, output } = await ending(startProcess(`redis://${where}`));
  assert.equal(code, 1, output);
  assert.match(output, /name it by redis\+cluster:\/\//);
});

test('a hub speaks TLS with its Redis, whose certificate it is told to trust', async (t) => {
  const { openssl } = await ensureSystemPackages(['openssl']);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-tls-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name));
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=redis', '-addext', 'subjectAltName=DNS:redis.internal'];
  const end = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  await promisify(execFile)(openssl, ['req', '-x509', ...kind, ...names, ...end, '-keyout', key, '-out', cert]);
  const [port] = await freePorts(1);
  const files = [
    '--tls-cert-file',
    cert,
    '--tls-key-file',
    key,
    '--tls-ca-cert-file',
    cert,
    '--tls-auth-clients',
    'no',
  ];
  await startRedis(t, ['--tls-port', String(port), ...files], { tls: true });
  const url = `rediss://127.0.0.1:${port}`;
  const tls = { ca: fs.readFileSync(cert, 'utf8'), servername: 'redis.internal' };
  await isReady(await startHub(t, undefined, { redis: { url, tls } }));
  await isReady(
    await startHub(t, undefined, { redis: { url: url.replace('rediss', 'redis'), tls: { ...tls, ca: cert } } }),
  );
  const { code, output } = await ending(startProcess(url));
  assert.equal(code, 1, output);
  assert.match(output, /TLS: /);
});

test('an option of the way to Redis that will not do is refused by its name', async () => {
  const url = 'redis://127.0.0.1:1';
  const faults = [
    [{}, /needs one of url, sentinels, cluster/],
    [{ url, cluster: ['h'] }, /needs one of url, sentinels, cluster/],
    [{ cluster: [] }, /redis\.cluster/],
    [{ cluster: ['h'], database: 1 }, /redis\.database: a cluster/],
    [{ url, sentinels: ['h'], name: 'm' }, /needs one of url, sentinels/],
    [{ sentinels: ['h'] }, /needs sentinels and name/],
    [{ url, name: 'm' }, /needs sentinels and name/],
    [{ sentinels: [], name: 'm' }, /redis\.sentinels/],
    [{ sentinels: ['a b'], name: 'm' }, /server 1 of it is no host:port/],
    [{ url, password: '' }, /redis\.password/],
    [{ url, database: -1 }, /redis\.database/],
    [{ url, tls: 'yes' }, /redis\.tls must be true/],
    [{ url, tls: { nonsense: 'x' } }, /redis\.tls\.nonsense/],
    [{ url, tls: { cert: 'x' } }, /cert and key together/],
    [{ url: 'unix:///x', tls: true }, /redis\.tls: a unix socket[^]*HUB_REDIS/],
    [{ url: 'valkey+unix:///x', tls: { ca: 'x' } }, /redis\.tls: a unix socket[^]*HUB_REDIS/],
    [{ url: 'rediss://127.0.0.1:1', tls: false }, /redis\.tls: false[^]*HUB_REDIS/],
    [{ url: 'valkeys-sentinel://127.0.0.1:1/m', tls: false }, /redis\.tls: false[^]*HUB_REDIS/],
    [{ url, sentinelPassword: 'x' }, /redis\.sentinelPassword: it names no sentinels[^]*HUB_REDIS/],
    [{ url, username: 'u' }, /a username without a password[^]*HUB_REDIS/],
    [{ url: 'redis+cluster://127.0.0.1:1', database: 1 }, /redis\.database: a cluster[^]*HUB_REDIS/],
    [{ url: 'rediss://127.0.0.1:1', tls: { ca: '/nowhere' } }, /127\.0\.0\.1:1/],
  ];
  for (const [redis, expected] of faults) {
    const { code, output } = await ending(startProcess(undefined, { redis }));
    assert.equal(code, 1, output);
    assert.match(output, expected);
  }
});
