// An app with a base path, trailing slashes and its route in a route group, in development and in production.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { visitAdmin } from './support/admin-visit.mjs';
import { FabricClient, rawUpgrade, tryOpen } from './support/fabric-client.mjs';
import { makeApp } from './support/fixture-apps.mjs';
import { until } from './support/processes.mjs';

const CONFIG = "export default { basePath: '/base', trailingSlash: true };\n";
/** One edit in some hundreds goes unseen by a bundler's watcher; whoever edits would save again. */
const SAVE_AGAIN_MS = 6000;

/** What the agent handler of `service` streams first. */
async function firstChunk(t, service, target) {
  const agent = new FabricClient(`${service.ws}${target}?threadId=thread`);
  t.after(() => agent.drop());
  await agent.received(({ type }) => type === 'connected');
  agent.send({ type: 'stream' });
  const { chunk } = await agent.received(({ type }) => type === 'chunk');
  return chunk;
}

async function serves(service) {
  assert.equal((await fetch(`${service.http}/base/`)).status, 200);
  for (const prefix of ['', '/base']) {
    const target = `${service.ws}${prefix}/ws/fabric?documentId=document&clientID=anna`;
    const client = new FabricClient(target);
    const connected = await client.received(({ type }) => type === 'connected');
    assert.equal(connected.documentId, 'document');
    if (prefix === '') await visitAdmin(`${service.http}/base/admin/hub/`, 'document');
    await client.close();
  }
  const nobody = new FabricClient(`${service.ws}/base/ws/nobody`);
  assert.deepEqual(await nobody.closing(), { code: 1003, reason: 'No handler for /ws/nobody' });
  for (const target of ['/bases/ws/fabric', '/base/base/ws/fabric', '/base/wsx']) {
    assert.match(await rawUpgrade(service.port, target), /^HTTP\/1\.1 4\d\d /, target);
  }
}

for (const [fixture, bundler] of [
  ['next15', 'webpack'],
  ['next16', 'turbopack'],
]) {
  test(`${fixture} with basePath, trailingSlash and a route group`, { timeout: 400_000 }, async (t) => {
    const app = await makeApp(fixture, 'tarball');
    const inApp = (...names) => path.join(app.directory, ...names);
    fs.writeFileSync(inApp('next.config.mjs'), CONFIG);
    const route = inApp('app', 'api', 'ws-handlers', 'route.ts');
    const inGroup = inApp('app', '(internal)', 'api', 'ws-handlers', 'route.ts');
    fs.mkdirSync(path.dirname(inGroup), { recursive: true });
    fs.writeFileSync(inGroup, fs.readFileSync(route, 'utf8').replace("'../../../handlers'", "'../../../../handlers'"));
    fs.rmSync(path.dirname(route), { recursive: true });

    await t.test('development: sockets, hot reload, edited handlers', async (t) => {
      const service = await app.start('development', bundler);
      t.after(() => service.stop('SIGKILL'));
      await serves(service);
      const origin = `http://localhost:${service.port}`;
      const hot = await tryOpen(`${service.ws}/base/_next/webpack-hmr`, { origin });
      const newer = hot ?? (await tryOpen(`${service.ws}/base/_next/hmr`, { origin }));
      assert.ok(newer, 'the hot-reload socket opens below the base path');
      newer.terminate();

      const file = inApp('handlers', 'agent.ts');
      const edited = fs.readFileSync(file, 'utf8').replace("'one'", "'uno'");
      assert.equal(await firstChunk(t, service, '/base/ws/agent'), 'one');
      let savedAt = 0;
      await until('the edited handler', async () => {
        if (Date.now() - savedAt > SAVE_AGAIN_MS) {
          fs.writeFileSync(file, edited);
          savedAt = Date.now();
        }
        return (await firstChunk(t, service, '/ws/agent')) === 'uno';
      });
      assert.doesNotMatch(service.output, /edited handlers/);
      await service.stop('SIGTERM');
    });

    await t.test('production: sockets with and without the base path', async (t) => {
      await app.build(bundler);
      const service = await app.start('production', bundler);
      t.after(() => service.stop('SIGKILL'));
      await serves(service);
      assert.equal(await firstChunk(t, service, '/base/ws/agent'), 'uno');
      await service.stop('SIGTERM');
    });
  });
}
