// How a server ends: by what terminals and process managers send, and not held up by who is gone.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import http from 'node:http';
import test, { describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FabricClient, silentUpgrade } from '../support/fabric-client.mjs';
import { childEnvironment, until } from '../support/processes.mjs';
import { makeStubApp, served, startStub } from '../support/stub-app.mjs';

const isWindows = process.platform === 'win32';
const LOOPBACK = ['-H', '127.0.0.1'];
const TARGET = '/ws/fabric?documentId=document&clientID=silent';

async function running(t, { app = makeStubApp(), env, ipc } = {}) {
  const service = startStub(app, { args: LOOPBACK, env: { PORT: '0', ...env }, ipc });
  t.after(() => service.stop('SIGKILL'));
  const { port } = await served(service);
  const client = await FabricClient.connect(`ws://127.0.0.1:${port}`, 'document', 'anna');
  t.after(() => client.drop());
  return { service, client, port };
}

describe('a signal', { skip: isWindows }, () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    test(`${signal} closes every client with 1012 and ends the process with exit code 0`, async (t) => {
      const { service, client } = await running(t);
      service.child.kill(signal);
      assert.equal((await client.closing()).code, 1012);
      assert.deepEqual(await service.exit, { code: 0, signal: null });
    });
  }

  test('the same or another one at once is the same wish', async (t) => {
    const { service, client } = await running(t);
    for (const signal of ['SIGINT', 'SIGINT', 'SIGHUP', 'SIGTERM']) service.child.kill(signal);
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await service.exit, { code: 0, signal: null });
    assert.doesNotMatch(service.output, /came again/);
  });

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
    ['SIGTERM', 143],
  ]) {
    test(`${signal} a second time later ends the process at once, with ${code}`, async (t) => {
      const { service, client, port } = await running(t);
      // A page that is never ready: the process waits for it longer than for a client.
      const page = http.get({ host: '127.0.0.1', port, path: '/never' }).on('error', () => {});
      t.after(() => page.destroy());
      await service.printed(/asked for \/never/);
      service.child.kill('SIGTERM');
      // It has begun to end.
      await client.closing();
      await delay(600);
      service.child.kill(signal);
      assert.deepEqual(await service.exit, { code, signal: null });
      assert.match(service.output, new RegExp(`${signal} came again`));
    });
  }

  test('while it starts ends the process at once, as if nobody listened', async (t) => {
    for (const [signal, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ]) {
      const service = startStub(makeStubApp(), { args: LOOPBACK, env: { PORT: '0', STUB_SLOW_START: '1' } });
      t.after(() => service.stop('SIGKILL'));
      await service.printed(/next: /);
      service.child.kill(signal);
      assert.deepEqual(await service.exit, { code, signal: null });
    }
  });

  test('of a terminal that is gone, so that nothing can be written any more, ends it as well', async (t) => {
    const { service, client } = await running(t, { env: { STUB_TALKS: '1' } });
    service.child.stdout.destroy();
    service.child.stderr.destroy();
    service.child.kill('SIGHUP');
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await service.exit, { code: 0, signal: null });
  });

  test("that the app uses for something else stays the app's", async (t) => {
    const app = makeStubApp({ before: "process.on('SIGUSR2', () => console.log('a heap snapshot'));" });
    const { service, client } = await running(t, { app });
    service.child.kill('SIGUSR2');
    await service.printed(/a heap snapshot/);
    client.send({ type: 'sync', documentId: 'document' });
    await client.received((message) => message.type === 'synced');
  });
});

/** Runs a program in a terminal, which is closed once something comes on stdin; prints how the program ended. */
const IN_TERMINAL = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
while b'listening on' not in shown or not shown.endswith(b'\\n'):
    shown += os.read(terminal, 4096)
print(shown.decode(), flush=True)
sys.stdin.readline()
os.close(terminal)
print('ended with', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
`;
const python = spawnSync('python3', ['-c', 'import pty']).status === 0;

describe('a terminal that is closed', { skip: isWindows || !python }, () => {
  test('ends the server with a word to its clients, by SIGHUP and without a dump', async (t) => {
    const script = ['-c', IN_TERMINAL, process.execPath, 'server.mjs', ...LOOPBACK];
    const env = childEnvironment({ NODE_ENV: 'production', PORT: '0' });
    const terminal = spawn('python3', script, { cwd: makeStubApp(), env, stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => terminal.kill('SIGKILL'));
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text) => (shown += text));
    const [, port] = await until('the server', () => /listening on .*"port":(\d+)}/.exec(shown));
    const client = await FabricClient.connect(`ws://127.0.0.1:${port}`, 'document', 'anna');
    t.after(() => client.drop());
    terminal.stdin.end('close it\n');
    assert.equal((await client.closing()).code, 1012);
    // Node by itself aborts here, with SIGABRT or SIGSEGV.
    assert.equal(Number((await until('the end', () => /ended with (-?\d+)/.exec(shown)))[1]), -1);
  });
});

describe("PM2's message shutdown", () => {
  test('closes every client with 1012 and ends the process with exit code 0', async (t) => {
    const { service, client } = await running(t, { ipc: true });
    assert.ok(service.messages.includes('ready'), 'it has said ready');
    service.child.send('shutdown');
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await service.exit, { code: 0, signal: null });
  });
});

describe('the end of a server', { skip: isWindows }, () => {
  test('does not wait for a client that answers nothing', async (t) => {
    const { service, client, port } = await running(t);
    const silent = await silentUpgrade(port, TARGET);
    t.after(() => silent.destroy());
    const began = Date.now();
    service.child.kill('SIGTERM');
    assert.equal((await client.closing()).code, 1012);
    assert.deepEqual(await service.exit, { code: 0, signal: null });
    // A second for the client; the four that the hub has in all would show.
    assert.ok(Date.now() - began < 3500, `${Date.now() - began} ms`);
  });

  test('answers a request that was made before, and does not keep its connection for another', async (t) => {
    const { service, port } = await running(t);
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const answered = new Promise((resolve, reject) => {
      http.get({ host: '127.0.0.1', port, path: '/slow', agent }, resolve).on('error', reject);
    });
    await service.printed(/asked for \/slow/);
    const began = Date.now();
    service.child.kill('SIGTERM');
    const response = await answered;
    assert.equal(response.statusCode, 200);
    response.resume();
    assert.deepEqual(await service.exit, { code: 0, signal: null });
    // Half a second for the answer; Node would keep the connection for five more.
    assert.ok(Date.now() - began < 3500, `${Date.now() - began} ms`);
  });
});
