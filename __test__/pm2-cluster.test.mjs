// The shipped ecosystem file for several processes under real PM2, over a real Redis, with a Next app built for production.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { byFabricClient, Editing, watchPort } from '../bench/lib/editing.mjs';
import { FabricClient } from '../js/client.js';
import { makeApp } from './support/fixture-apps.mjs';
import { isAlive, Pm2 } from './support/pm2.mjs';
import { freePorts, isFree } from './support/ports.mjs';
import { childEnvironment, until } from './support/processes.mjs';
import { SECRET, startRedis } from './support/redis.mjs';

const shipped = fileURLToPath(new URL('../ecosystem.cluster.config.cjs', import.meta.url));

/** What the shipped file says with this environment: its one app, or why there is none. */
function read(environment) {
  const program = 'process.stdout.write(JSON.stringify(require(process.argv[1]).apps))';
  const options = { env: childEnvironment(environment), encoding: 'utf8' };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--eval', program, shipped], options);
  return status === 0 ? JSON.parse(stdout)[0] : stderr;
}

test('the ecosystem file for several processes refuses to run them without a Redis and a secret that they share', () => {
  const [HUB_REDIS_URL, HUB_TOKEN_SECRET] = ['redis://127.0.0.1:6379', SECRET];
  for (const environment of [{}, { HUB_REDIS_URL }, { HUB_TOKEN_SECRET }]) {
    assert.match(read(environment), /Several processes need HUB_REDIS_URL and HUB_TOKEN_SECRET/);
  }
  const app = read({ HUB_REDIS_URL, HUB_TOKEN_SECRET, PORT: '4000' });
  assert.deepEqual([app.exec_mode, app.script, app.wait_ready], ['cluster', 'server.mjs', true]);
  assert.ok(app.instances > 1);
  assert.ok(app.kill_timeout > 8000, 'kill_timeout must be above the 8 s of shutdownTimeoutMs');
  assert.deepEqual(app.env, { NODE_ENV: 'production', PORT: '4000', HUB_REDIS_URL, HUB_TOKEN_SECRET });
});

/** Asks for JSON over a connection of its own, so that whoever's turn it is answers. */
function ask(port, target) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: target, agent: false }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve(JSON.parse(text));
    });
    request.on('error', reject);
  });
}

test('PM2 runs several processes by the shipped ecosystem file', { timeout: 600_000 }, async (t) => {
  const redis = await startRedis(t);
  const app = await makeApp('next16', 'tarball');
  await app.build('turbopack');
  fs.copyFileSync(shipped, path.join(app.directory, 'shipped.config.cjs'));
  const config = path.join(app.directory, 'ecosystem.config.cjs');
  fs.writeFileSync(
    config,
    `const config = require('./shipped.config.cjs');
     Object.assign(config.apps[0], { args: '-H 127.0.0.1' });
     module.exports = config;`,
  );
  const [port] = await freePorts(1);
  const pm2 = new Pm2({ PORT: String(port), HUB_REDIS_URL: redis.url, HUB_TOKEN_SECRET: SECRET });
  t.after(() => pm2.kill());
  const connect = byFabricClient(FabricClient, `ws://127.0.0.1:${port}`, { WebSocket });
  const editing = new Editing({ documents: 10, perDocument: 6, everyMs: 100, connect });
  t.after(() => editing.close());

  /** How many clients each process has, by its id. */
  async function spread() {
    const pids = (await pm2.instances('captify')).map(({ pid }) => pid);
    const counts = new Map();
    await until('an answer of every process', async () => {
      const { process: pid, fabric } = await ask(port, '/api/counts');
      counts.set(pid, fabric);
      return pids.every((each) => counts.has(each));
    });
    return pids.map((pid) => [pid, counts.get(pid)]);
  }
  const sum = (counts) => counts.reduce((all, [, count]) => all + count, 0);

  const part = (name, prove) => pm2.part(t, name, prove);

  await part('pm2 start returns when every process can serve', async () => {
    await pm2.call('start', config);
    const processes = await pm2.instances('captify');
    assert.deepEqual(
      processes.map(({ status, mode }) => [status, mode]),
      [
        ['online', 'cluster_mode'],
        ['online', 'cluster_mode'],
      ],
    );
    await spread();
  });

  await part('clients come to every process, whichever document they open', async () => {
    await editing.start();
    const counts = await spread();
    assert.equal(sum(counts), 60);
    for (const [pid, count] of counts) assert.ok(count > 15, `process ${pid} has ${count} of 60`);
  });

  await part('pm2 reload ends one process after the other, and the port is never closed', async () => {
    const before = await pm2.instances('captify');
    const watch = watchPort(port);
    await pm2.call('reload', 'captify', '--parallel', '1');
    await editing.back(1);
    assert.equal(await watch.stop(), 0, 'milliseconds that the port was closed');
    await until('the end of the old processes', () => before.every(({ pid }) => !isAlive(pid)));
    const after = await pm2.instances('captify');
    assert.ok(after.every(({ pid, status }) => status === 'online' && before.every((old) => old.pid !== pid)));
    assert.doesNotMatch(pm2.daemonLog(), /SIGKILL|could not be killed/);
  });

  await part('pm2 scale adds a process without anybody noticing, and takes some away', async () => {
    const downs = editing.report().downs;
    await pm2.call('scale', 'captify', '3');
    assert.equal((await spread()).length, 3);
    assert.equal(editing.report().downs, downs, 'nobody was closed');
    await pm2.call('scale', 'captify', '1');
    const [[, count], ...others] = await until('everybody on the one that is left', async () => {
      const counts = await spread();
      return sum(counts) === 60 && counts;
    });
    assert.deepEqual([count, others], [60, []]);
    await pm2.call('scale', 'captify', '2');
  });

  await part('a process that is killed is started again, and its clients go on with the others', async () => {
    const [{ pid }] = await pm2.instances('captify');
    process.kill(pid, 'SIGKILL');
    await until('PM2 to start another', async () => {
      const processes = await pm2.instances('captify');
      return processes.every((each) => each.status === 'online' && each.pid !== pid);
    });
    await until('everybody to be back', async () => sum(await spread()) === 60);
  });

  await part(
    'of all that was written meanwhile nothing was lost and nothing doubled, and nobody had to reload',
    async () => {
      await editing.back(1);
      await editing.stop();
      const report = editing.report();
      t.diagnostic(JSON.stringify(report));
      const { lost, doubled, reloaded } = report;
      assert.deepEqual({ lost, doubled, reloaded }, { lost: 0, doubled: 0, reloaded: 0 });
      assert.ok(report.downs >= 60, 'everybody was closed once or more');
    },
  );

  await part('what the hub says stands in the log of PM2 itself, and what the app says in its own', async () => {
    await redis.service.stop('SIGKILL');
    await until('the loss of Redis to be logged', () => /\[hub\] error: Redis is away/.test(pm2.daemonLog()));
    assert.doesNotMatch(pm2.processLogs(), /Redis is away/);
    assert.match(pm2.processLogs(), /captify-out-0[^]*Captify Server Started/);
  });

  await part('pm2 stop ends them all and leaves the port free', async () => {
    await pm2.call('stop', 'captify');
    assert.deepEqual(
      (await pm2.instances('captify')).map(({ status }) => status),
      ['stopped', 'stopped'],
    );
    assert.ok(await isFree(port));
  });
});
