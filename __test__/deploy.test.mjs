// A deployment under real PM2 while documents are being edited: everybody comes back, and nobody misses anything.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import WebSocket from 'ws';
import { byFabricClient, Editing, watchPort } from '../bench/lib/editing.mjs';
import { FabricClient } from '../js/client.js';
import { isAlive, Pm2 } from './support/pm2.mjs';
import { freePorts } from './support/ports.mjs';
import { until } from './support/processes.mjs';
import { makeStubApp } from './support/stub-app.mjs';

/** How PM2 runs the app, and how it is deployed. */
const WAYS = [
  { mode: 'fork', how: 'restart' },
  { mode: 'cluster', how: 'reload' },
];

for (const { mode, how } of WAYS) {
  test(
    `pm2 ${how} in ${mode} mode loses nothing of 200 clients who edit, doubles nothing, and has nobody reload`,
    { timeout: 120_000 },
    async (t) => {
      const app = makeStubApp({ options: "{ hub: { logLevel: 'info', limits: false } }" });
      const [port] = await freePorts(1);
      const config = path.join(app, 'ecosystem.config.cjs');
      const settings = {
        name: 'app',
        script: 'server.mjs',
        cwd: app,
        args: '-H 127.0.0.1',
        exec_mode: mode,
        instances: 1,
      };
      const waits = { wait_ready: true, listen_timeout: 30_000, kill_timeout: 10_000 };
      const env = { NODE_ENV: 'production', PORT: String(port) };
      fs.writeFileSync(config, `module.exports = ${JSON.stringify({ apps: [{ ...settings, ...waits, env }] })};`);
      const pm2 = new Pm2();
      t.after(() => pm2.kill());
      await pm2.call('start', config);
      const before = await pm2.describe('app');
      assert.equal(before.mode, `${mode}_mode`);

      const connect = byFabricClient(FabricClient, `ws://127.0.0.1:${port}`, { WebSocket });
      const editing = new Editing({ documents: 20, perDocument: 10, everyMs: 100, connect });
      t.after(() => editing.close());
      try {
        await editing.start();
        const watch = watchPort(port);
        await pm2.call(how, 'app');
        await editing.back(1);
        await editing.stop();
        const closedMs = await watch.stop();
        const report = editing.report();
        t.diagnostic(JSON.stringify({ ...report, closedMs }));
        const { lost, doubled, reloaded } = report;
        assert.deepEqual({ lost, doubled, reloaded }, { lost: 0, doubled: 0, reloaded: 0 });
        if (mode === 'cluster') assert.equal(closedMs, 0, 'the port is never closed');
        await until('the end of the old process', () => !isAlive(before.pid));
        assert.notEqual((await pm2.describe('app')).pid, before.pid);
      } catch (error) {
        error.message += `\n${pm2.daemonLog()}\n${pm2.processLogs()}`;
        throw error;
      }
    },
  );
}
