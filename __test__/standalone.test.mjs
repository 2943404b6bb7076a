// `output: 'standalone'` as the documents say to use it: what Next copies, and nothing else, in a directory of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { visitAdmin } from './support/admin-visit.mjs';
import { chapter, read } from './support/documents.mjs';
import { FabricClient } from './support/fabric-client.mjs';
import { makeApp, temporaryDirectory } from './support/fixture-apps.mjs';
import { Service, childEnvironment, run } from './support/processes.mjs';

const IMAGE = chapter('docs/operations.md', '## An image');

const DOCKERFILE = read('docs', 'operations', 'Dockerfile');
/** What the image is made of. */
const [, IMAGE_STAGE] = DOCKERFILE.split(/^FROM .*\nWORKDIR \/app$/m).slice(1);

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

/** Does what the Dockerfile says of the second stage; resolves with the folder, environment and command of its container. */
function makeImage(app) {
  const root = temporaryDirectory('image');
  const image = path.join(root, 'app');
  for (const [, from, to] of IMAGE_STAGE.matchAll(/^COPY --from=build \/app\/(\S+) (\S+)$/gm)) {
    fs.cpSync(path.join(app, from), path.join(image, to), { recursive: true, verbatimSymlinks: true });
  }
  const environment = Object.fromEntries([...IMAGE_STAGE.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, ...pair]) => pair));
  const state = path.join(root, environment.HUB_STATE_DIR);
  fs.mkdirSync(state, { mode: 0o700 });
  const [program, ...args] = JSON.parse(/^CMD (.*)$/m.exec(IMAGE_STAGE)[1]);
  assert.equal(program, 'node');
  return { image, env: childEnvironment({ ...environment, HUB_STATE_DIR: state, PORT: '0' }), args, state };
}

for (const [fixture, bundler] of [
  ['next15', 'webpack'],
  ['next16', 'turbopack'],
]) {
  test(`${fixture}: what standalone copies serves pages and sockets`, { timeout: 300_000 }, async (t) => {
    const app = await makeApp(fixture, 'tarball');
    fs.writeFileSync(path.join(app.directory, 'next.config.mjs'), documentedConfig());
    await app.build(bundler);

    // Away from the app, whose packages would be found from below it.
    fs.mkdirSync(path.join(app.directory, 'public'), { recursive: true });
    const { image, env, args, state } = makeImage(app.directory);
    const service = new Service(`standalone ${fixture}`, process.execPath, [...args, '-H', '127.0.0.1'], {
      cwd: image,
      env,
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
    assert.ok(fs.existsSync(path.join(state, 'rooms.state')), 'what rooms remember is left on the volume');

    // A part that is missing all the same is said to be, with where to read on.
    fs.rmSync(path.join(image, 'node_modules', 'next', 'dist', 'server', 'lib', 'router-server.js'));
    const broken = new Service(`broken ${fixture}`, process.execPath, args, { cwd: image, env });
    t.after(() => broken.stop('SIGKILL'));
    assert.equal((await broken.exit).code, 1, broken.output);
    assert.match(broken.output, /HUB_NEXT_MISSING|has no .*router-server/);
    assert.match(broken.output, /output: 'standalone' leaves out .* see "An image" in the README/);
  });
}

test('the image has its state on a volume, and a user of its own', () => {
  assert.match(documentedConfig(), /output: 'standalone'/);
  const [, state] = /^ENV HUB_STATE_DIR=(\S+)$/m.exec(IMAGE_STAGE);
  for (const line of [
    `RUN mkdir -m 700 ${state} && chown node ${state}`,
    `VOLUME ${state}`,
    'USER node',
    'EXPOSE 3000',
  ]) {
    assert.ok(IMAGE_STAGE.includes(`\n${line}\n`), line);
  }
});
