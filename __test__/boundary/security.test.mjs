// The log of suspicious activity: what is in it, what is not, and that nobody can flood it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test, { describe } from 'node:test';
import { as, headerSession, outcome, statusOf } from '../support/admission.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { runProgram, startProgram } from '../support/programs.mjs';
import { until } from '../support/processes.mjs';
import { fabricTarget, frame, RawClient, TEXT } from '../support/raw-client.mjs';

const require = createRequire(import.meta.url);
const { SecurityEvents, toStderr } = require('../../js/admission/security.js');
const { loadNative } = require('../../js/hub/native.js');
const { requestSource, trustedProxies } = require('../../js/admission/forwarded.js');

const { NativeHub } = loadNative();

/** The one log of the process, with nothing in it from before. */
function collected(onEvent) {
  NativeHub.securityEvents();
  const events = [];
  const security = new SecurityEvents(onEvent ?? ((event) => events.push(event)), NativeHub);
  return { events, security };
}

describe('events', () => {
  test('that are equal are one with a count', () => {
    const { events, security } = collected();
    const before = security.totals.SESSION_FORGED;
    for (let index = 0; index < 1000; index += 1) security.report('SESSION_FORGED', { address: '203.0.113.7' });
    security.report('SESSION_FORGED', { address: '203.0.113.8' });
    security.close();
    assert.deepEqual(
      events.map(({ code, count, address }) => [code, count, address]),
      [
        ['SESSION_FORGED', 1000, '203.0.113.7'],
        ['SESSION_FORGED', 1, '203.0.113.8'],
      ],
    );
    assert.equal(security.totals.SESSION_FORGED - before, 1001);
    assert.match(events[0].time, /^\d{4}-.*Z$/);
  });

  test('that are many and different are bounded, and say how many more there were', () => {
    const { events, security } = collected();
    for (let index = 0; index < 10_000; index += 1)
      security.report('ORIGIN_REFUSED', { origin: `https://${index}.example` });
    security.close();
    assert.equal(events.length, 129);
    assert.deepEqual([events[128].code, events[128].count], ['SUPPRESSED', 10_000 - 128]);
    security.flush();
    assert.equal(events.length, 129, 'what was handed on is not handed on again');
  });

  test('hold ids that are cut', () => {
    const { events, security } = collected();
    security.report('ACCESS_REFUSED', { user: 'u'.repeat(5000), document: 'd'.repeat(5000), origin: 'o'.repeat(5000) });
    security.close();
    assert.ok(JSON.stringify(events).length < 600);
  });

  test('of a kind that is not known are refused, and an address that is none is left out', () => {
    const { events, security } = collected();
    assert.throws(() => security.report('A'), { code: 'HUB_INVALID_ARGUMENT' });
    for (const address of ['fe80::1%eth0', 'no address', '']) security.report('SESSION_MISSING', { address });
    security.close();
    assert.deepEqual(
      events.map(({ address, count }) => [address, count]),
      [
        ['fe80::1', 1],
        [undefined, 2],
      ],
    );
  });

  test('whose handler throws do not stop the ones after them', (t) => {
    const written = [];
    t.mock.method(process.stderr, 'write', (text) => written.push(text));
    let seen = 0;
    const { security } = collected(() => {
      seen += 1;
      throw new Error('the log is full');
    });
    security.report('SESSION_MISSING');
    security.report('ORIGIN_REFUSED');
    security.close();
    assert.equal(seen, 2);
    assert.match(written[0], /onSecurityEvent threw: Error: the log is full/);
  });

  test('whose handler rejects end no process', async (t) => {
    const written = [];
    t.mock.method(process.stderr, 'write', (text) => written.push(text));
    const { security } = collected(async () => {
      throw new Error('the database is gone');
    });
    security.report('SESSION_MISSING');
    security.close();
    await until('it to be said', () => written.length > 0);
    assert.match(written[0], /onSecurityEvent threw: Error: the database is gone/);
  });

  test('write nothing to stderr that a terminal or a reader of logs would obey', (t) => {
    const written = [];
    t.mock.method(process.stderr, 'write', (text) => written.push(text));
    const origin = 'é\u001b\u0085\u009b2J\u2028\u202e';
    toStderr({ code: 'ORIGIN_REFUSED', origin });
    assert.doesNotMatch(written[0].slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}]/u);
    assert.match(written[0], /é/);
    assert.equal(JSON.parse(written[0]).origin, origin);
  });
});

test('whatever session, access and onSecurityEvent throw, nobody is let in by it, and the process lives', async () => {
  const { code, output } = await runProgram(
    'a hub whose app throws what has no text',
    `
    import { HubServer } from './__test__/support/hub-server.mjs';
    import { as, outcome } from './__test__/support/admission.mjs';
    import { fabricTarget } from './__test__/support/raw-client.mjs';
    const bare = Object.create(null);
    const fail = { throw() { throw bare; }, reject: async () => { throw bare; } };
    const user = (request) => JSON.parse(request.headers['x-user']);
    const server = await HubServer.start({
      logLevel: 'error',
      limits: { waiting: 1 },
      session: (request) => (fail[user(request).session] ?? user)(request),
      access: ({ user }) => (fail[user.access] ?? (() => 'write'))(),
      onSecurityEvent: fail.reject,
    });
    for (const user of [{ session: 'throw' }, { session: 'reject' }, { access: 'throw' }, { access: 'reject' }, {}]) {
      const { code, type, client } = await outcome(server, as({ id: 'ann', ...user }), fabricTarget('document'));
      console.log(code ?? type);
      client?.drop();
    }
    await server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    `,
  );
  assert.equal(code, 0, output);
  const outcomes = output.split('\n').filter((line) => /^(\d+|connected)$/.test(line));
  assert.deepEqual(outcomes, ['1011', '1011', '1011', '1011', 'connected']);
  // The log has one such line a second at most.
  assert.match(output, /session or access: something that has no text/);
  assert.match(output, /onSecurityEvent threw: something that has no text/);
});

test('events of both sides come with who, where and what, and no payload', async () => {
  const events = [];
  const access = ({ documentId }) => (documentId.startsWith('none') ? false : 'read');
  const server = await HubServer.start({
    session: headerSession,
    access,
    onSecurityEvent: (event) => events.push(event),
  });
  const [documentId, refused] = [uniqueId('read'), uniqueId('none')];
  const secret = 'a payload that is nobody’s business';
  const anna = await outcome(server, as({ id: 'anna', secret }), fabricTarget(documentId));
  anna.client.write(frame(TEXT, JSON.stringify({ type: 'update', documentId, update: secret })));
  await outcome(server, as({ id: 'anna', secret }), fabricTarget(refused));
  anna.client.write(frame(TEXT, 'unmasked', { masked: false }));
  await anna.client.closeFrame();
  assert.equal(await statusOf(server, { Origin: 'https://evil.example' }), 403);
  const find = (code) => until(code, () => events.find((event) => event.code === code));
  const common = { user: 'anna', address: '127.0.0.1' };
  for (const [code, expected] of Object.entries({
    READ_ONLY: { ...common, document: documentId },
    BAD_FRAME: { ...common, document: documentId },
    ACCESS_REFUSED: { ...common, document: refused },
    ORIGIN_REFUSED: { address: '127.0.0.1', origin: 'https://evil.example', host: 'localhost' },
  })) {
    const { time, count, hint, ...event } = await find(code);
    assert.ok(time && count === 1);
    // It says which option helps.
    if (code === 'ORIGIN_REFUSED') assert.match(hint, /allowedOrigins/);
    assert.deepEqual(JSON.parse(JSON.stringify(event)), { code, ...expected });
    assert.ok(server.hub.stats().events[code] >= 1);
  }
  assert.ok(!JSON.stringify(events).includes('business'));
  await server.close();
});

test('without a handler events are lines of JSON on stderr, which no client can begin a new line in', async () => {
  const program = startProgram(
    'a hub that logs',
    `
      import { HubServer } from './__test__/support/hub-server.mjs';
      const access = () => false;
      const session = () => ({ id: 'anna\\n{"hub":"security","code":"FORGED"}\\u001b[31m' });
      const { port } = await HubServer.start({ logLevel: 'error', session, access });
      console.log('listening on ' + port);
    `,
  );
  try {
    const [, port] = await program.printed(/listening on (\d+)/);
    const client = await RawClient.connect({ port: Number(port) });
    await client.upgrade(fabricTarget('doc\u2028ument'));
    assert.equal((await client.closeFrame()).code, 4403);
    await program.printed(/"ACCESS_REFUSED"/);
    const lines = program.output.split('\n').filter((line) => line.startsWith('{'));
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).code),
      ['ACCESS_REFUSED'],
    );
    assert.ok(!program.output.includes('\u001b'));
    client.drop();
  } finally {
    program.child.kill('SIGKILL');
    await program.exit;
  }
});

describe('where a request came from', () => {
  const proxies = trustedProxies(['loopback', '10.0.0.0/8', '2001:db8::/32']);
  /** Of a request with the headers in both the forms in which Node has them. */
  const from = (remoteAddress, said = {}, encrypted = false) => {
    const headers = { host: 'own.example', ...said };
    return requestSource(proxies, {
      headers,
      rawHeaders: Object.entries(headers).flat(),
      socket: { remoteAddress, encrypted },
    });
  };

  test('is the peer’s own where nobody is trusted, whatever it says', () => {
    const said = { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example' };
    assert.deepEqual(from('203.0.113.7', said), {
      address: '203.0.113.7',
      forwarded: false,
      secure: undefined,
      host: 'own.example',
    });
    assert.equal(from('203.0.113.7', said, true).secure, true);
  });

  test('is what trusted proxies say, read from the nearest one back', () => {
    const cases = [
      ['127.0.0.1', '1.2.3.4', '1.2.3.4'],
      ['::ffff:127.0.0.1', '1.2.3.4', '1.2.3.4'],
      ['::1', 'evil, 1.2.3.4, 10.1.1.1', '1.2.3.4'],
      ['10.9.9.9', '6.6.6.6, 1.2.3.4', '1.2.3.4'],
      ['10.9.9.9', '10.1.1.1, 10.2.2.2', '10.1.1.1'],
      ['2001:db8::1', '[2001:470::1]:4711', '2001:470::1'],
      ['127.0.0.1', '1.2.3.4:4711', '1.2.3.4'],
      ['127.0.0.1', '1.2.3.4:4711, 10.1.1.1:80', '1.2.3.4'],
      ['127.0.0.1', '1.2.3.4:', undefined],
      ['127.0.0.1', '2001:470::1:4711', '2001:470::1:4711'],
      ['127.0.0.1', '::ffff:1.2.3.4', '1.2.3.4'],
      ['127.0.0.1', '1.2.3.4, unknown', undefined],
      ['127.0.0.1', undefined, undefined],
    ];
    for (const [peer, chain, address] of cases) {
      assert.equal(from(peer, { 'x-forwarded-for': chain }).address, address, `${peer} ${chain}`);
    }
  });

  test('has the scheme and the host that the nearest proxy saw', () => {
    const said = { 'x-forwarded-proto': 'http, https', 'x-forwarded-host': 'evil.example, app.example' };
    const { secure, host } = from('127.0.0.1', said);
    assert.deepEqual([secure, host], [true, 'app.example']);
    assert.equal(from('127.0.0.1', { 'x-forwarded-proto': 'http' }, true).secure, false);
    assert.equal(from('127.0.0.1').secure, undefined);
  });

  test('is nobody’s where the peer is gone already', () => {
    assert.equal(from(undefined).address, undefined);
  });
});
