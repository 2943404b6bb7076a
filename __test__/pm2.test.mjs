// The shipped ecosystem file under real PM2, with a Next app built for production.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { FabricClient, silentUpgrade } from './support/fabric-client.mjs';
import { makeApp } from './support/fixture-apps.mjs';
import { Pm2, isAlive } from './support/pm2.mjs';
import { freePorts, isFree } from './support/ports.mjs';
import { until } from './support/processes.mjs';

const shipped = fileURLToPath(new URL('../ecosystem.config.cjs', import.meta.url));

test('the ecosystem file leaves the server time to shut down, and never runs two of it', () => {
  const { apps } = createRequire(import.meta.url)(shipped);
  assert.equal(apps.length, 1);
  const [app] = apps;
  assert.equal(app.name, 'captify');
  assert.equal(app.script, 'server.mjs');
  assert.equal(app.exec_mode, 'fork');
  assert.equal(app.instances, 1);
  assert.equal(app.max_memory_restart, '1G');
  assert.equal(app.env.NODE_ENV, 'production');
  assert.ok(app.kill_timeout > 8000, 'kill_timeout must be above the 8 s of shutdownTimeoutMs');
  assert.ok(app.wait_ready);
});

test('PM2 runs the server by the shipped ecosystem file', { timeout: 600_000 }, async (t) => {
  const app = await makeApp('next16', 'tarball');
  await app.build('turbopack');
  const config = path.join(app.directory, 'ecosystem.config.cjs');
  fs.copyFileSync(shipped, config);

  const [port] = await freePorts(1);
  const pm2 = new Pm2({ PORT: String(port) });
  t.after(() => pm2.kill());
  const ws = `ws://127.0.0.1:${port}`;

  /** Connects three clients, makes PM2 do something, and checks how clients and process ended. */
  async function endsGracefully(...args) {
    const before = await pm2.describe('captify');
    assert.equal(before.status, 'online');
    const logged = pm2.daemonLog().length;
    const clients = [];
    for (const id of ['anna', 'ben', 'cleo']) clients.push(await FabricClient.connect(ws, 'document', id));
    const done = pm2.call(...args);
    try {
      for (const client of clients) assert.equal((await client.closing()).code, 1012);
    } finally {
      for (const client of clients) client.drop();
      await done;
    }
    assert.ok(!isAlive(before.pid), 'the old process is gone');
    const log = pm2.daemonLog().slice(logged);
    assert.match(log, /App \[captify:\d+\] exited with code \[0\] via signal \[SIGINT\]/, log);
    assert.doesNotMatch(log, /SIGKILL|could not be killed/, log);
    return before;
  }

  const served = async () => {
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
    const client = await FabricClient.connect(ws, 'document', 'anna');
    await client.close();
  };

  const part = (name, prove) => pm2.part(t, name, prove);

  await part('pm2 start returns when the server can serve', async () => {
    await pm2.call('start', config);
    await served();
    const { status, restarts, mode } = await pm2.describe('captify');
    assert.deepEqual({ status, restarts, mode }, { status: 'online', restarts: 0, mode: 'fork_mode' });
  });

  for (const how of ['reload', 'restart']) {
    await part(`pm2 ${how} closes every client with 1012, exits with 0, and the new process serves`, async () => {
      const before = await endsGracefully(how, 'captify');
      await until('the new process to be online', async () => (await pm2.describe('captify')).status === 'online');
      await served();
      const after = await pm2.describe('captify');
      assert.notEqual(after.pid, before.pid);
    });
  }

  await part('pm2 stop closes every client with 1012, exits with 0, and leaves the port free', async () => {
    await endsGracefully('stop', 'captify');
    assert.equal((await pm2.describe('captify')).status, 'stopped');
    assert.ok(await isFree(port));
  });

  await part('a client that never answers does not make PM2 kill the server', async () => {
    await pm2.call('start', config);
    const silent = await silentUpgrade(port, '/ws/fabric?documentId=document&clientID=silent');
    try {
      await endsGracefully('stop', 'captify');
    } finally {
      silent.destroy();
    }
    assert.ok(await isFree(port));
  });

  await part("PM2's shutdown message, in place of a signal, ends the server in the same way", async () => {
    await pm2.call('delete', 'captify');
    const byMessage = path.join(app.directory, 'by-message.config.cjs');
    fs.writeFileSync(
      byMessage,
      `const config = require('./ecosystem.config.cjs');
       config.apps[0].shutdown_with_message = true;
       module.exports = config;`,
    );
    await pm2.call('start', byMessage);
    await endsGracefully('stop', 'captify');
    assert.ok(await isFree(port));
  });
});
