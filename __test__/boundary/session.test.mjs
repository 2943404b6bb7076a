// Who may come in: the session at the upgrade, its end, its renewal. Attackers forge cookies; the honest come in beside.
import assert from 'node:assert/strict';
import { createCipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import test, { after, before, describe } from 'node:test';
import { setEnvDefaults } from '@auth/core';
import { encode } from '@auth/core/jwt';
import { renewSession } from '../../js/index.js';
import { authJs, createHub } from '../../js/server.js';
import { as, ask, headerSession, outcome, waiting } from '../support/admission.mjs';
import { HubServer, overEveryWay } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { ending, startProgram } from '../support/programs.mjs';
import { fabricTarget, frame, RawClient, TEXT } from '../support/raw-client.mjs';

const NAME = 'authjs.session-token';
const SECRET = 'the secret of the app';
const UNAUTHORIZED = { code: 4401, reason: 'Unauthorized' };

const seal = (token, options = {}) => encode({ token, secret: SECRET, salt: NAME, maxAge: 3600, ...options });
const cookie = (name, value) => ({ Cookie: `other=1; ${name}=${value}; last=2` });

function without({ client, ...rest }) {
  client?.drop();
  return rest;
}

/** A token made here, by the letter of RFC 7516, for what Auth.js's own `encode` would never make. */
function sealByHand(claims, { secret = SECRET, salt = NAME, enc = 'A256GCM', header = {}, key } = {}) {
  const bytes = enc === 'A256GCM' ? 32 : 64;
  const derived =
    key ?? Buffer.from(hkdfSync('sha256', secret, salt, `Auth.js Generated Encryption Key (${salt})`, bytes));
  const head = Buffer.from(JSON.stringify({ alg: 'dir', enc, ...header })).toString('base64url');
  const plain = typeof claims === 'string' ? claims : JSON.stringify(claims);
  let [iv, text, tag] = [];
  if (enc === 'A256GCM') {
    iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', derived, iv).setAAD(Buffer.from(head));
    text = Buffer.concat([cipher.update(plain), cipher.final()]);
    tag = cipher.getAuthTag();
  } else {
    iv = randomBytes(16);
    const cipher = createCipheriv('aes-256-cbc', derived.subarray(32), iv);
    text = Buffer.concat([cipher.update(plain), cipher.final()]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(head.length * 8));
    tag = createHmac('sha512', derived.subarray(0, 32))
      .update(head)
      .update(iv)
      .update(text)
      .update(length)
      .digest()
      .subarray(0, 32);
  }
  return [head, '', ...[iv, text, tag].map((part) => part.toString('base64url'))].join('.');
}

const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

describe('the cookie of Auth.js', () => {
  let server;
  before(async () => {
    const session = authJs({ secret: ['a newer secret', SECRET] });
    server = await HubServer.start({ session });
  });
  after(() => server.close());

  const comesIn = async (headers, message) => {
    const { type, client } = await outcome(server, headers);
    client?.drop();
    assert.equal(type, 'connected', message);
  };
  const isRefused = async (headers, message) =>
    assert.deepEqual(without(await outcome(server, headers)), UNAUTHORIZED, message);

  test('made by @auth/core lets its user in, under each of its names', async () => {
    for (const name of [NAME, `__Secure-${NAME}`, 'next-auth.session-token', '__Secure-next-auth.session-token']) {
      await comesIn(cookie(name, await seal({ sub: 'anna' }, { salt: name })), name);
    }
  });

  test('is read from chunks where it is too long for one', async () => {
    const token = await seal({ sub: 'anna', groups: Array.from({ length: 600 }, (_, index) => `group ${index}`) });
    assert.ok(token.length > 3936 * 2, String(token.length));
    const chunks = token.match(/.{1,3936}/g).map((chunk, index) => `${NAME}.${index}=${chunk}`);
    await comesIn({ Cookie: chunks.toReversed().join('; ') });
    await isRefused({ Cookie: chunks.slice(1).join('; ') }, 'the first chunk is missing');
    await isRefused({ Cookie: chunks.slice(0, -1).join('; ') }, 'the last chunk is missing');
  });

  test('holds in both encryptions that Auth.js accepts', async () => {
    for (const enc of ['A256CBC-HS512', 'A256GCM']) {
      await comesIn(cookie(NAME, sealByHand({ sub: 'anna', exp: inSeconds(60) }, { enc })), enc);
    }
  });

  test('sealed with an older secret holds while that secret is in the list', async () => {
    await comesIn(cookie(NAME, await seal({ sub: 'anna' }, { secret: 'a newer secret' })));
    await isRefused(cookie(NAME, await seal({ sub: 'anna' }, { secret: 'no secret of the app' })));
  });

  test('that has ended is refused, with fifteen seconds for clocks that differ', async () => {
    const at = (exp) => cookie(NAME, sealByHand({ sub: 'anna', exp }));
    await isRefused(at(inSeconds(-20)));
    await isRefused(cookie(NAME, await seal({ sub: 'anna' }, { maxAge: -3600 })));
    const early = sealByHand({ sub: 'anna', exp: inSeconds(60), nbf: inSeconds(40) });
    await isRefused(cookie(NAME, early), 'not yet valid');
    assert.notEqual(
      authJs({ secret: SECRET }).check({ headers: { cookie: at(inSeconds(-5)).Cookie } }).user,
      undefined,
    );
    await isRefused(cookie(NAME, sealByHand({ sub: 'anna' })), 'a session without an end is none of Auth.js');
  });

  test('ends when its token does, whatever other claims are called', async () => {
    const exp = inSeconds(60);
    const { check } = authJs({ secret: SECRET });
    for (const expiresAt of [1, 'tomorrow', exp * 2000]) {
      const { user } = check({ headers: { cookie: cookie(NAME, sealByHand({ sub: 'anna', exp, expiresAt })).Cookie } });
      assert.equal(user.expiresAt, (exp + 15) * 1000);
    }
  });

  test('that has ended is let in for as long as clocks may differ, and not closed at once', async () => {
    const late = await outcome(server, cookie(NAME, sealByHand({ sub: 'anna', exp: inSeconds(-5) })));
    assert.equal(late.type, 'connected');
    assert.equal(JSON.parse((await late.client.frame()).payload).type, 'session-expiring');
    late.client.drop();
  });

  test('that was tampered with anywhere is refused', async () => {
    for (const enc of ['A256CBC-HS512', 'A256GCM']) {
      const token = sealByHand({ sub: 'anna', exp: inSeconds(60) }, { enc });
      const check = (value) => authJs({ secret: SECRET }).check({ headers: { cookie: `${NAME}=${value}` } });
      assert.equal(check(token).user.id, 'anna');
      for (let at = 0; at < token.length; at += 1) {
        // The last character of a part has spare bits, which say nothing: flip one that counts.
        const flipped = Buffer.from(token);
        if (token[at] === '.') flipped[at] = 65;
        else flipped[at] = token[at] === 'A' ? 113 : 65;
        const changed = check(flipped.toString());
        if (changed.user) assert.fail(`${enc}: character ${at} of ${token} may be another`);
      }
      for (let length = 0; length < token.length; length += 7)
        assert.equal(check(token.slice(0, length)).user, undefined);
    }
  });

  test('of another salt, algorithm or key is refused', async () => {
    const claims = { sub: 'anna', exp: inSeconds(60) };
    const forged = {
      'salt of another cookie': await seal({ sub: 'anna' }, { salt: 'another' }),
      'no algorithm': `${Buffer.from('{"alg":"none"}').toString('base64url')}..${'A'.repeat(16)}.e30.`,
      'a signed token': [{ alg: 'HS256' }, claims, {}]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.'),
      'a wrapped key': sealByHand(claims, { header: { alg: 'A256KW' } }),
      'an unknown encryption': sealByHand(claims, { header: { enc: 'A128GCM' } }),
      'a name every object has': sealByHand(claims, { header: { enc: 'constructor' } }),
      compressed: sealByHand(claims, { header: { zip: 'DEF' } }),
      'a critical extension': sealByHand(claims, { header: { crit: ['exp'] } }),
      'a key of zeros': sealByHand(claims, { key: Buffer.alloc(32) }),
      'an empty secret': sealByHand(claims, { secret: '' }),
      'claims that are no object': sealByHand('"anna"'),
      'claims that are no JSON': sealByHand('anna'),
      'a tag of four bytes': sealByHand(claims).replace(/\.[\w-]+$/, (tag) => tag.slice(0, 7)),
      empty: '',
      dots: '....',
      'ten thousand dots': '.'.repeat(10_000),
    };
    for (const [what, token] of Object.entries(forged)) await isRefused(cookie(NAME, token), what);
    await isRefused({}, 'no cookie at all');
    await isRefused(cookie(`x${NAME}`, await seal({ sub: 'anna' })), 'a cookie with a longer name');
  });

  test('of a user without an id lets nobody in', async () => {
    const { code } = without(await outcome(server, cookie(NAME, await seal({ email: 'anna@app.example' }))));
    assert.equal(code, 1011);
  });

  test('counts in what stats and security events say, and no event holds it', async () => {
    const seen = [];
    await server.close();
    server = await HubServer.start({
      session: authJs({ secret: SECRET }),
      onSecurityEvent: (event) => seen.push(event),
    });
    const token = await seal({ sub: 'anna' }, { secret: 'another' });
    for (let index = 0; index < 5; index += 1) await isRefused(cookie(NAME, token));
    await isRefused({});
    const forged = await until('the event', () => seen.find(({ code }) => code === 'SESSION_FORGED'));
    assert.deepEqual([forged.count, forged.address], [5, '127.0.0.1']);
    assert.equal(server.hub.stats().events.SESSION_FORGED, 5);
    assert.equal(server.hub.stats().events.SESSION_MISSING, 1);
    assert.ok(!JSON.stringify(seen).includes(token.slice(-20)));
  });
});

test('the secret comes from AUTH_SECRET, else NEXTAUTH_SECRET, read when it is needed', async (t) => {
  const { AUTH_SECRET, NEXTAUTH_SECRET } = process.env;
  t.after(() =>
    Object.assign(process.env, { ...(AUTH_SECRET && { AUTH_SECRET }), ...(NEXTAUTH_SECRET && { NEXTAUTH_SECRET }) }),
  );
  delete process.env.AUTH_SECRET;
  delete process.env.NEXTAUTH_SECRET;
  const session = authJs();
  const request = { headers: { cookie: `${NAME}=${await seal({ sub: 'anna' })}` } };
  assert.throws(() => session.prepare(), { code: 'HUB_INVALID_ARGUMENT', message: /AUTH_SECRET/ });
  await assert.rejects(session(request), { code: 'HUB_INVALID_ARGUMENT' });
  process.env.NEXTAUTH_SECRET = SECRET;
  assert.equal((await session(request)).id, 'anna');
  process.env.AUTH_SECRET = 'another';
  assert.equal(await session(request), null);
  delete process.env.AUTH_SECRET;
  delete process.env.NEXTAUTH_SECRET;
});

describe('secrets in the environment', () => {
  const NAMES = ['AUTH_SECRET', 'AUTH_SECRET_1', 'AUTH_SECRET_2', 'AUTH_SECRET_3', 'NEXTAUTH_SECRET'];
  const before = NAMES.map((name) => [name, process.env[name]]);
  const set = (values) => {
    for (const name of NAMES) delete process.env[name];
    Object.assign(process.env, values);
  };
  after(() => set(Object.fromEntries(before.filter(([, value]) => value !== undefined))));
  const opened = async (secret, options) => {
    const request = { headers: { cookie: `${NAME}=${await seal({ sub: 'anna' }, { secret })}` } };
    return (await authJs(options)(request))?.id;
  };

  test('each open tokens while they are being changed, by the names of @auth/core', async () => {
    const all = { AUTH_SECRET: 'zero', AUTH_SECRET_1: 'one', AUTH_SECRET_2: 'two', AUTH_SECRET_3: 'three' };
    set(all);
    for (const secret of Object.values(all)) assert.equal(await opened(secret), 'anna', secret);
    assert.equal(await opened('four'), undefined);
    set({ AUTH_SECRET_2: 'two' });
    assert.equal(await opened('two'), 'anna');
    set({ NEXTAUTH_SECRET: 'old', AUTH_SECRET_1: 'new' });
    for (const secret of ['old', 'new']) assert.equal(await opened(secret), 'anna', secret);
  });

  test('are those that @auth/core would take, in its order', async () => {
    for (const values of [
      { AUTH_SECRET: 'zero' },
      { AUTH_SECRET: 'zero', AUTH_SECRET_1: 'one', AUTH_SECRET_2: 'two', AUTH_SECRET_3: 'three' },
      { AUTH_SECRET: '', AUTH_SECRET_1: 'one', AUTH_SECRET_3: 'three' },
    ]) {
      set(values);
      const config = { providers: [] };
      setEnvDefaults(values, config, true);
      const salt = NAME;
      const token = await encode({ token: { sub: 'anna' }, secret: config.secret, salt, maxAge: 3600 });
      assert.equal((await authJs()({ headers: { cookie: `${NAME}=${token}` } })).id, 'anna');
      for (const secret of config.secret) assert.equal(await opened(secret), 'anna', secret);
    }
  });

  test('that are empty are none', async () => {
    set({ AUTH_SECRET: '', AUTH_SECRET_1: '', NEXTAUTH_SECRET: 'old' });
    assert.equal(await opened('old'), 'anna');
    set({ AUTH_SECRET: '', AUTH_SECRET_1: '' });
    assert.throws(() => authJs().prepare(), { code: 'HUB_INVALID_ARGUMENT', message: /AUTH_SECRET/ });
  });

  test('count where the option is an empty list, and not beside a list that has one', async () => {
    set({ AUTH_SECRET_1: 'one' });
    assert.equal(await opened('one', { secret: [] }), 'anna');
    assert.equal(await opened('one', { secret: ['another'] }), undefined);
    assert.throws(() => authJs({ secret: ['another', undefined] }), { code: 'HUB_INVALID_ARGUMENT' });
  });
});

test('options of authJs and of sessions that make no sense are refused by name', () => {
  assert.throws(() => authJs({ secrets: 'x' }), { code: 'HUB_INVALID_ARGUMENT', message: /secrets/ });
  assert.throws(() => authJs({ secret: '' }), { code: 'HUB_INVALID_ARGUMENT' });
  assert.throws(() => authJs({ cookieNames: [] }), { code: 'HUB_INVALID_ARGUMENT' });
  assert.throws(() => createHub({ session: {} }), { code: 'HUB_INVALID_ARGUMENT', message: /session/ });
  assert.throws(() => createHub({ admissionTimeoutMs: 0 }), { code: 'HUB_INVALID_ARGUMENT' });
});

overEveryWay(
  (at) => {
    test('a function of the app says who comes in, and bytes sent before it has are not lost', async () => {
      const early = frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' }));
      const client = await ask(at.server, fabricTarget('document'), as({ id: 'anna' }));
      client.write(early, early);
      assert.equal((await client.response()).status, 101);
      const types = [];
      for (let index = 0; index < 3; index += 1) types.push(JSON.parse((await client.frame()).payload).type);
      assert.deepEqual(types, ['connected', 'synced', 'synced']);
      assert.deepEqual(without(await outcome(at.server, {})), UNAUTHORIZED);
    });

    test('a session that ends is announced, then closed with 4401', async () => {
      const { client } = await outcome(at.server, as({ id: 'anna', expiresAt: Date.now() + 800 }));
      const warning = JSON.parse((await client.frame()).payload);
      assert.equal(warning.type, 'session-expiring');
      assert.ok(warning.inMs > 0 && warning.inMs <= 800, String(warning.inMs));
      assert.deepEqual(await client.closeFrame(), UNAUTHORIZED);
    });

    test('a session is renewed without reconnecting, and its client can ask', async () => {
      const user = { id: 'anna', sessionId: 'laptop', expiresAt: Date.now() + 1500 };
      const [{ client }, other] = [
        await outcome(at.server, as(user)),
        await outcome(at.server, as({ ...user, sessionId: 'phone' })),
      ];
      assert.equal(JSON.parse((await client.frame()).payload).type, 'session-expiring');
      const expiresAt = Date.now() + 3_600_000;
      const request = new Request('http://app.example/api/session', { headers: as({ ...user, expiresAt }) });
      assert.equal(await renewSession(request), 1);
      client.write(frame(TEXT, '{"type":"session"}'));
      const answer = JSON.parse((await client.frame()).payload);
      assert.equal(answer.type, 'session');
      assert.ok(answer.expiresInMs > 3_500_000 && answer.expiresInMs <= 3_600_000);
      assert.deepEqual(await other.client.closeFrame(), UNAUTHORIZED, 'the other session ends when it was to');
      client.write(frame(TEXT, '{"type":"session"}'));
      assert.equal(JSON.parse((await client.frame()).payload).type, 'session', 'and this one goes on');
    });
  },
  { session: headerSession, sessionWarningMs: 60_000 },
);

describe('while the app decides', () => {
  async function withHook(options, visit) {
    const { hook, calls } = waiting();
    const server = await HubServer.start({ session: hook, ...options });
    const asked = (count) => until('the app to be asked', () => (calls.length >= count ? calls : null));
    try {
      await visit({ server, calls, asked });
    } finally {
      await server.close();
    }
  }

  test('a client that leaves is forgotten', async () => {
    await withHook({ limits: { waiting: 1 } }, async ({ server, calls, asked }) => {
      const leaves = await ask(server, fabricTarget('document'));
      await asked(1);
      leaves.drop();
      await until(
        'its socket to be gone',
        () => new Promise((done) => server.server.getConnections((_, count) => done(count === 0))),
      );
      calls[0].resolve({ id: 'anna' });
      const stays = await ask(server, fabricTarget('document'));
      await asked(2);
      calls[1].resolve({ id: 'berta' });
      assert.equal((await stays.response()).status, 101);
      assert.equal(server.hub.stats().users, 1);
    });
  });

  test('no more wait than may, and those who do not find a place are told 503', async () => {
    await withHook({ limits: { waiting: 2 } }, async ({ server, calls, asked }) => {
      const waits = [await ask(server, fabricTarget('document')), await ask(server, fabricTarget('document'))];
      await asked(2);
      const refused = await Promise.all(Array.from({ length: 20 }, () => outcome(server, {})));
      assert.ok(refused.every(({ status }) => status === 503));
      assert.equal(server.hub.stats().events.LIMIT_WAITING, 20);
      for (const { resolve } of calls.slice(0, 2)) resolve({ id: 'anna' });
      for (const client of waits) assert.equal((await client.response()).status, 101);
    });
  });

  test('a decision that takes too long lets nobody in: 1013', async () => {
    await withHook({ admissionTimeoutMs: 100 }, async ({ server, calls }) => {
      const { code } = without(await outcome(server, {}));
      assert.equal(code, 1013);
      calls[0].resolve({ id: 'late' });
      assert.equal(server.hub.stats().events.ADMISSION_TIMEOUT, 1);
      assert.equal(server.hub.stats().users, 0);
    });
  });

  test('a decision that fails lets nobody in: 1011', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      const [failing, wrong] = [outcome(server, {}), outcome(server, {})];
      await asked(2);
      calls[0].reject(new Error('the database is gone'));
      calls[1].resolve({ name: 'a user without an id' });
      for (const one of [failing, wrong]) assert.equal(without(await one).code, 1011);
    });
    const server = await HubServer.start({
      session: () => {
        throw new Error('at once');
      },
    });
    assert.equal(without(await outcome(server, {})).code, 1011);
    await server.close();
  });

  test('a decision that never comes keeps no process whose server and hub are closed', async () => {
    const program = startProgram(
      'a hub whose app never decides',
      `
        import { HubServer } from './__test__/support/hub-server.mjs';
        const server = await HubServer.start({ session: () => { close(); return new Promise(() => {}); }, admissionTimeoutMs: 600_000 });
        const close = () => setTimeout(() => server.close(), 50);
        console.log('listening on ' + server.port);
      `,
    );
    const [, port] = await program.printed(/listening on (\d+)/);
    const client = await ask({ raw: () => RawClient.connect({ port: Number(port) }) }, fabricTarget('document'));
    assert.equal((await client.response()).status, 503);
    client.drop();
    assert.equal((await ending(program)).code, 0);
  });

  test('a session without an end, or with one in a million years, just goes on', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      for (const [index, expiresAt] of [Infinity, 8.64e15, null, undefined].entries()) {
        const coming = outcome(server, {});
        await asked(index + 1);
        calls[index].resolve({ id: 'anna', expiresAt });
        const { client, type } = await coming;
        assert.equal(type, 'connected');
        client.write(frame(TEXT, '{"type":"session"}'));
        assert.equal(JSON.parse((await client.frame()).payload).type, 'session');
      }
    });
  });

  test('a hub that closes refuses those who wait with 503', async () => {
    await withHook({}, async ({ server, asked }) => {
      const client = await ask(server, fabricTarget('document'));
      await asked(1);
      await server.hub.close();
      const { status, text } = await client.response();
      assert.deepEqual([status, text], [503, 'The server is restarting.']);
    });
  });

  test('what a client sends meanwhile is read only so far, and none of it is lost', async () => {
    await withHook({}, async ({ server, calls, asked }) => {
      let socket;
      // Before the hub: those behind it are not given what it takes.
      server.server.prependListener('upgrade', (_request, upgraded) => (socket = upgraded));
      const client = await ask(server, fabricTarget('document'));
      await asked(1);
      const sync = frame(TEXT, JSON.stringify({ type: 'sync', documentId: 'document' }).padEnd(60_000, ' '));
      const count = 100;
      for (let index = 0; index < count; index += 1) client.write(sync);
      const read = await until('the reading to stop', async () => {
        const before = socket.bytesRead;
        await new Promise((done) => setTimeout(done, 50));
        return before > 10_000 && socket.bytesRead === before ? before : null;
      });
      assert.ok(read < 1_000_000, `${read} of 6,000,000 bytes`);
      calls[0].resolve({ id: 'anna' });
      assert.equal((await client.response()).status, 101);
      assert.equal(JSON.parse((await client.frame()).payload).type, 'connected');
      for (let index = 0; index < count; index += 1) {
        assert.equal(JSON.parse((await client.frame()).payload).type, 'synced');
      }
    });
  });
});
