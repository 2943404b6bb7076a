// What people set on `next start` and what an environment happens to hold: where the server listens, and what it says of it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import test, { describe } from 'node:test';
import { FabricClient, rawUpgrade } from '../support/fabric-client.mjs';
import { freePorts } from '../support/ports.mjs';
import { makeStubApp, served, startStub } from '../support/stub-app.mjs';

const require = createRequire(import.meta.url);
const { commandLine, fromEnvironment, hostnameWarning, nodeEnvironment } = require('../../js/next/command-line.js');
const { banner } = require('../../js/next/banner.js');

const app = makeStubApp();

async function start(t, { args = [], env = {}, options } = {}) {
  const service = startStub(options ? makeStubApp({ options }) : app, { args, env });
  t.after(() => service.stop('SIGKILL'));
  return { service, ...(await served(service)) };
}

async function refused(t, { args = [], env = {}, options } = {}) {
  const service = startStub(options ? makeStubApp({ options }) : app, { args, env });
  t.after(() => service.stop('SIGKILL'));
  const { code } = await service.exit;
  assert.equal(code, 1, service.output);
  return service.output;
}

const hasIPv6 = Object.values(os.networkInterfaces()).some((all) => all.some(({ address }) => address === '::1'));
const everywhere = (address) => ['::', '0.0.0.0'].includes(address);

describe('HOSTNAME', () => {
  for (const HOSTNAME of ['web-7d9f8b-x2x1p', '127.0.0.9', 'no such name', 'localhost', '']) {
    test(`${JSON.stringify(HOSTNAME)} does not decide where it listens`, async (t) => {
      const { service, address, port, url } = await start(t, { env: { PORT: '0', HOSTNAME } });
      assert.ok(everywhere(address), address);
      assert.equal(url, `http://localhost:${port}`);
      assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
      assert.doesNotMatch(service.output, /Listens only on/);
      // An address is what somebody has meant; a name is what a container has.
      assert.equal(/HOSTNAME=127\.0\.0\.9 is not read/.test(service.output), net.isIP(HOSTNAME) !== 0);
    });
  }
});

describe('an address to listen on', () => {
  test('comes from -H, --hostname or the option hostname, and the banner says it', async (t) => {
    for (const asked of [
      { args: ['-H', '127.0.0.1'] },
      { args: ['--hostname', '127.0.0.1'] },
      { args: ['--hostname=127.0.0.1'] },
      { args: ['-H', '127.0.0.9'], options: "{ hostname: '127.0.0.1' }" },
      { options: "{ hostname: ' 127.0.0.1 ' }" },
    ]) {
      const { service, address, port, url } = await start(t, { ...asked, env: { PORT: '0', HOSTNAME: 'elsewhere' } });
      assert.equal(address, '127.0.0.1', JSON.stringify(asked));
      assert.equal(url, `http://127.0.0.1:${port}`);
      assert.match(service.output, /Listens only on: +127\.0\.0\.1 +║/);
      assert.doesNotMatch(service.output, /is not read/);
    }
  });

  test('may be IPv6, also in brackets, and of a name the banner says the address', { skip: !hasIPv6 }, async (t) => {
    for (const host of ['::1', '[::1]']) {
      const { address, port, url } = await start(t, { args: ['-H', host], env: { PORT: '0' } });
      assert.deepEqual([address, url], ['::1', `http://[::1]:${port}`]);
    }
    const { service, address } = await start(t, { args: ['-H', 'localhost'], env: { PORT: '0' } });
    assert.ok(service.output.includes(`${address} (localhost)`), service.output);
  });

  test('that is every one is listened on without a word', async (t) => {
    const { service, address, port, url } = await start(t, { args: ['-H', '0.0.0.0'], env: { PORT: '0' } });
    assert.deepEqual([address, url], ['0.0.0.0', `http://localhost:${port}`]);
    assert.doesNotMatch(service.output, /Listens only on/);
  });

  test('that this machine does not have is HUB_LISTEN_FAILED with what to do', async (t) => {
    for (const host of ['192.0.2.1', 'no-such-host.invalid']) {
      const output = await refused(t, { args: ['-H', host], env: { PORT: '0' } });
      assert.match(output, /HUB_LISTEN_FAILED/);
      assert.match(output, /this machine has no such address; without hostname it listens on every one/);
    }
  });
});

describe('the port', () => {
  test('comes from the option, else -p or --port, else PORT, with blanks and in any writing of a number', async (t) => {
    const [port] = await freePorts(1);
    for (const asked of [
      { env: { PORT: ` ${port} ` } },
      { env: { PORT: '1' }, args: ['-p', String(port)] },
      { env: { PORT: '1' }, args: [`-p${port}`] },
      { env: { PORT: 'abc' }, args: [`--port=${port}`] },
      { env: { PORT: '1' }, args: ['-p', '2'], options: `{ port: ${port} }` },
      { options: `{ port: '${port}' }` },
      { options: '{ port: process.env.NO_SUCH }', env: { PORT: `0x${port.toString(16)}` } },
    ]) {
      const running = await start(t, { ...asked, args: ['-H', '127.0.0.1', ...(asked.args ?? [])] });
      assert.equal(running.port, port, JSON.stringify(asked));
      await running.service.stop('SIGTERM');
    }
  });

  test('that is no port is refused by the name of what gave it', async (t) => {
    for (const [asked, message] of [
      [{ env: { PORT: 'abc' } }, /PORT must be a port number or the path of a socket, not abc/],
      [{ env: { PORT: '70000' } }, /PORT must be a port number or the path of a socket, not 70000/],
      [{ env: { PORT: '80.5' } }, /PORT must be a port number or the path of a socket, not 80\.5/],
      [{ args: ['-p', '-1'] }, /argument --port/],
      [{ args: ['-p'] }, /argument --port needs a value/],
      [{ options: '{ port: true }' }, /option port must be a port number or the path of a socket, not true/],
      [{ options: '{ port: [3000] }' }, /option port must be a port number/],
    ]) {
      const output = await refused(t, asked);
      assert.match(output, /HUB_INVALID_ARGUMENT/);
      assert.match(output, message);
    }
  });

  test('that is taken, or not for this user, says so', async (t) => {
    const other = net.createServer().listen(0, '127.0.0.1');
    t.after(() => other.close());
    await new Promise((done) => other.once('listening', done));
    const { port } = other.address();
    assert.match(await refused(t, { args: ['-H', '127.0.0.1', '-p', String(port)] }), /another process listens there/);
  });

  test('is 3000 where PORT holds nothing', () => {
    for (const PORT of ['', ' ', '\t']) assert.equal(fromEnvironment('PORT', { PORT }), undefined);
    assert.equal(fromEnvironment('PORT', {}), undefined);
    assert.equal(fromEnvironment('PORT', { PORT: ' 0 ' }), '0');
  });
});

describe('the command line', () => {
  test('takes what next start and next dev take, and leaves the rest to the app', () => {
    assert.deepEqual(commandLine(['--keepAliveTimeout', '65000', '--turbopack', 'worker', '--own', '-x', '7']), {
      port: undefined,
      hostname: undefined,
      keepAliveTimeoutMs: 65_000,
      next: { turbopack: true },
    });
    assert.deepEqual(commandLine(['--webpack']).next, { webpack: true });
    assert.deepEqual(commandLine([]).next, {});
    for (const args of [['-H'], ['--hostname'], ['--keepAliveTimeout']]) {
      assert.throws(() => commandLine(args), { code: 'HUB_INVALID_ARGUMENT' });
    }
  });

  test('and the options set how long idle connections are kept', async (t) => {
    for (const [asked, expected] of [
      [{ args: ['--keepAliveTimeout', '65000'] }, 65_000],
      [{ args: ['--keepAliveTimeout', '1'], options: '{ keepAliveTimeoutMs: 70000 }' }, 70_000],
      [{}, 5000],
    ]) {
      const running = await start(t, {
        ...asked,
        args: ['-H', '127.0.0.1', ...(asked.args ?? [])],
        env: { PORT: '0' },
      });
      assert.equal(running.keepAliveTimeout, expected);
    }
    assert.match(
      await refused(t, { args: ['--keepAliveTimeout', 'soon'] }),
      /keepAliveTimeoutMs must be a whole number/,
    );
  });

  test('can be another than the process has', async (t) => {
    const { address } = await start(t, {
      args: ['-H', '127.0.0.9'],
      options: "{ args: ['-H', '127.0.0.1'], next: { quiet: true } }",
      env: { PORT: '0' },
    });
    assert.equal(address, '127.0.0.1');
  });
});

describe('NODE_ENV', () => {
  for (const [NODE_ENV, environment, seen] of [
    ['production', 'production', 'production'],
    // What `set NODE_ENV=production && node server.mjs` gives on Windows.
    ['production ', 'production', 'production'],
    ['development', 'development', 'development'],
    ['', 'development', ''],
  ]) {
    test(`${JSON.stringify(NODE_ENV)} is ${environment}, for the app too`, async (t) => {
      const { service, port } = await start(t, { args: ['-H', '127.0.0.1'], env: { PORT: '0', NODE_ENV } });
      assert.match(service.output, new RegExp(`Environment: +${environment} +║`));
      assert.match(service.output, new RegExp(`"dev":${environment === 'development'}`));
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), `page in ${seen}`);
    });
  }

  test('is left alone where there is nothing to mend', () => {
    const env = {};
    assert.equal(nodeEnvironment(env), undefined);
    assert.deepEqual(env, {});
  });
});

test('sockets are below the base path and without it, and nowhere else', async (t) => {
  const { port } = await start(t, { args: ['-H', '127.0.0.1'], env: { PORT: '0', STUB_BASE_PATH: '/base' } });
  for (const prefix of ['', '/base']) {
    const query = 'documentId=document&clientID=anna';
    const client = new FabricClient(`ws://127.0.0.1:${port}${prefix}/ws/fabric?${query}`);
    t.after(() => client.drop());
    assert.equal((await client.received(({ type }) => type === 'connected')).documentId, 'document');
  }
  const nobody = new FabricClient(`ws://127.0.0.1:${port}/base/ws/nobody`);
  assert.deepEqual(await nobody.closing(), { code: 1003, reason: 'No handler for /ws/nobody' });
  for (const target of ['/bases/ws/fabric', '/base/base/ws/fabric', '/base/wsx', '/base', '/other/ws/fabric']) {
    assert.match(await rawUpgrade(port, target), /^HTTP\/1\.1 4\d\d /, target);
  }
});

test('a warning about HOSTNAME is only given for an address that is not listened on', () => {
  assert.match(hostnameWarning(undefined, { HOSTNAME: '10.0.0.5' }), /-H 10\.0\.0\.5/);
  assert.match(hostnameWarning(undefined, { HOSTNAME: '::1' }), /-H ::1/);
  for (const HOSTNAME of ['0.0.0.0', '::', 'web-1', '', undefined]) {
    assert.equal(hostnameWarning(undefined, { HOSTNAME }), undefined, HOSTNAME);
  }
  assert.equal(hostnameWarning('127.0.0.1', { HOSTNAME: '10.0.0.5' }), undefined);
});

test('the banner is the one that is known, with one line more where an address was chosen', () => {
  const told = { url: 'http://localhost:3000', paths: ['/ws/fabric'], environment: 'development' };
  const plain = banner(told).split('\n');
  assert.equal(plain.length, 11);
  const chosen = banner({ ...told, address: '::1 (localhost)' }).split('\n');
  assert.equal(chosen.length, 12);
  assert.equal(new Set([...plain, ...chosen].map((line) => line.length)).size, 1, 'the box is whole');
});
