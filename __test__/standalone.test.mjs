// `output: 'standalone'` as the documents say to use it: what Next copies, and nothing else, in a directory of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { visitAdmin } from './support/admin-visit.mjs';
import { chapter } from './support/documents.mjs';
import { FabricClient } from './support/fabric-client.mjs';
import { makeApp, temporaryDirectory } from './support/fixture-apps.mjs';
import { Service, childEnvironment, run } from './support/processes.mjs';

const IMAGE = chapter('docs/operations.md', '## An image');

/** Reads a cookie that nobody has sealed. */
const SESSION = `
  import { authJs } from '@captify-io/hub/server';
  const session = authJs({ secret: 'the secret of the app' });
  await session.prepare();
  console.log(await session({ headers: { cookie: 'authjs.session-token=a.b.c.d.e' } }));
`;

/** The documented configuration, as it stands there. */
function documentedConfig() {
  const [, code] = /```js\n([^]*?)```/.exec(IMAGE);
  return code;
}

for (const [fixture, bundler] of [
  ['next15', 'webpack'],
  ['next16', 'turbopack'],
]) {
  test(`${fixture}: what standalone copies serves pages and sockets`, { timeout: 300_000 }, async (t) => {
    const app = await makeApp(fixture, 'tarball');
    fs.writeFileSync(path.join(app.directory, 'next.config.mjs'), documentedConfig());
    await app.build(bundler);

    // The image: as the Dockerfile copies it, away from the app, whose packages would be found from below it.
    const image = path.join(temporaryDirectory('image'), 'app');
    fs.cpSync(path.join(app.directory, '.next', 'standalone'), image, { recursive: true, verbatimSymlinks: true });
    fs.cpSync(path.join(app.directory, '.next', 'static'), path.join(image, '.next', 'static'), { recursive: true });

    const service = new Service(`standalone ${fixture}`, process.execPath, ['server.mjs', '-H', '127.0.0.1'], {
      cwd: image,
      env: childEnvironment({ NODE_ENV: 'production', PORT: '0' }),
    });
    t.after(() => service.stop('SIGKILL'));
    const [, port] = await service.printed(/\[fixture\] listening on port (\d+)/);
    const page = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /fixture home/);
    const client = await FabricClient.connect(`ws://127.0.0.1:${port}`, 'document', 'anna');
    const answer = await fetch(`http://127.0.0.1:${port}/api/counts?documentId=document`);
    assert.equal((await answer.json()).count, 1, 'route handlers see the hub');
    await visitAdmin(`http://127.0.0.1:${port}/admin/hub`, 'document');
    assert.doesNotMatch(service.output, /next start/);
    const prepared = await run('a session in the image', process.execPath, ['--input-type=module', '--eval', SESSION], {
      cwd: image,
      env: childEnvironment(),
    });
    assert.match(prepared, /^null$/m, 'the library that reads sessions is there');
    const ended = service.stop('SIGTERM');
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await ended, { code: 0, signal: null });

    // A part that is missing all the same is said to be, with where to read on.
    fs.rmSync(path.join(image, 'node_modules', 'next', 'dist', 'server', 'lib', 'router-server.js'));
    const broken = new Service(`broken ${fixture}`, process.execPath, ['server.mjs'], {
      cwd: image,
      env: childEnvironment({ NODE_ENV: 'production', PORT: '0' }),
    });
    t.after(() => broken.stop('SIGKILL'));
    assert.equal((await broken.exit).code, 1, broken.output);
    assert.match(broken.output, /HUB_NEXT_MISSING|has no .*router-server/);
    assert.match(broken.output, /output: 'standalone' leaves out .* see "An image" in the README/);
  });
}

test('the Dockerfile copies what the configuration makes', () => {
  const [, docker] = /```dockerfile\n([^]*?)```/.exec(IMAGE);
  for (const part of ['.next/standalone', '.next/static', 'node", "server.mjs']) assert.ok(docker.includes(part), part);
  assert.match(documentedConfig(), /output: 'standalone'/);
});
