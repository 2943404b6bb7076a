// The session cookie of Auth.js. Attackers forge it; the honest come in beside.
import assert from 'node:assert/strict';
import { createCipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import test, { after, before, describe } from 'node:test';
import { setEnvDefaults } from '@auth/core';
import { encode } from '@auth/core/jwt';
import { authJs, createHub } from '../../js/server.js';
import { ask, outcome, waiting } from '../support/admission.mjs';
import { HubServer } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { fabricTarget } from '../support/raw-client.mjs';

const { MAX_TOKENS, OpenedTokens } = createRequire(import.meta.url)('../../js/admission/opened-tokens.js');

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
    const late = await authJs({ secret: SECRET }).check({ headers: { cookie: at(inSeconds(-5)).Cookie } });
    assert.notEqual(late.user, undefined);
    await isRefused(cookie(NAME, sealByHand({ sub: 'anna' })), 'a session without an end is none of Auth.js');
  });

  test('ends when its token does, whatever other claims are called', async () => {
    const exp = inSeconds(60);
    const { check } = authJs({ secret: SECRET });
    for (const expiresAt of [1, 'tomorrow', exp * 2000]) {
      const { Cookie } = cookie(NAME, sealByHand({ sub: 'anna', exp, expiresAt }));
      const { user } = await check({ headers: { cookie: Cookie } });
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
      assert.equal((await check(token)).user.id, 'anna');
      for (let at = 0; at < token.length; at += 1) {
        // The last character of a part has spare bits, which say nothing: flip one that counts.
        const flipped = Buffer.from(token);
        if (token[at] === '.') flipped[at] = 65;
        else flipped[at] = token[at] === 'A' ? 113 : 65;
        const changed = await check(flipped.toString());
        if (changed.user) assert.fail(`${enc}: character ${at} of ${token} may be another`);
      }
      for (let length = 0; length < token.length; length += 7)
        assert.equal((await check(token.slice(0, length))).user, undefined);
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
    const before = server.hub.stats().events;
    for (let index = 0; index < 5; index += 1) await isRefused(cookie(NAME, token));
    await isRefused({});
    const forged = await until('the event', () => seen.find(({ code }) => code === 'SESSION_FORGED'));
    assert.deepEqual([forged.count, forged.address], [5, '127.0.0.1']);
    const { events } = server.hub.stats();
    assert.equal(events.SESSION_FORGED - before.SESSION_FORGED, 5);
    assert.equal(events.SESSION_MISSING - before.SESSION_MISSING, 1);
    assert.ok(!JSON.stringify(seen).includes(token.slice(-20)));
  });
});

describe('a cookie that was read before', () => {
  const requestOf = (token) => ({ headers: { cookie: `${NAME}=${token}` } });

  test('is read at once, without the library', async () => {
    const { check } = authJs({
      secret: SECRET,
      user: (claims) => ({ ...claims, id: claims.sub, seen: (claims.sub = 'eva') }),
    });
    const request = requestOf(await seal({ sub: 'anna' }));
    const first = check(request);
    assert.ok(first instanceof Promise);
    const { user } = await first;
    assert.equal(user.id, 'anna');
    assert.deepEqual(check(request), { user }, 'nobody sees what another has made of the claims');
    assert.ok(check(requestOf(sealByHand({ sub: 'anna', exp: inSeconds(60) }))) instanceof Promise);
  });

  test('has ended when its time is over', async (t) => {
    const { check } = authJs({ secret: SECRET });
    const request = requestOf(sealByHand({ sub: 'anna', exp: inSeconds(60) }));
    assert.equal((await check(request)).user.id, 'anna');
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 80_000 });
    assert.deepEqual(await check(request), { reason: 'expired' });
  });

  test('is forged once its secret is no longer in the list', async (t) => {
    const before = process.env.AUTH_SECRET;
    t.after(() => (before === undefined ? delete process.env.AUTH_SECRET : (process.env.AUTH_SECRET = before)));
    process.env.AUTH_SECRET = SECRET;
    const { check } = authJs();
    const request = requestOf(await seal({ sub: 'anna' }));
    assert.equal((await check(request)).user.id, 'anna');
    process.env.AUTH_SECRET = 'another';
    assert.deepEqual(await check(request), { reason: 'forged' });
  });

  test('is kept among a bounded number, the last ones asked for', () => {
    const tokens = new OpenedTokens();
    for (let index = 0; index < MAX_TOKENS; index += 1) tokens.set(NAME, `${index}`, [SECRET], { index });
    assert.deepEqual(tokens.get(NAME, '0', [SECRET]), { index: 0 });
    tokens.set(NAME, 'one more', [SECRET], {});
    assert.equal(tokens.get(NAME, '1', [SECRET]), undefined);
    assert.deepEqual(tokens.get(NAME, '0', [SECRET]), { index: 0 });
    assert.equal(tokens.get('another name', '0', [SECRET]), undefined);
    assert.equal(tokens.get(NAME, '0', [SECRET, 'another']), undefined);
  });
});

test('as many cookies are read as come at once; limits.waiting bounds what the app is asked behind that', async () => {
  const session = authJs({ secret: SECRET });
  const headers = cookie(NAME, await seal({ sub: 'anna' }));
  const withHub = async (options, visit) => {
    const server = await HubServer.start({ session, limits: { waiting: 1 }, ...options });
    try {
      await visit(server);
    } finally {
      await server.close();
    }
  };
  await withHub({}, async (server) => {
    const all = await Promise.all(Array.from({ length: 50 }, () => outcome(server, headers)));
    assert.deepEqual(new Set(all.map(({ type }) => type)), new Set(['connected']));
  });
  const { hook, calls } = waiting();
  await withHub({ access: hook }, async (server) => {
    const first = await ask(server, fabricTarget('document'), headers);
    await until('the app to be asked', () => calls.length === 1);
    assert.equal((await outcome(server, headers, fabricTarget('another'))).status, 503);
    assert.equal(server.hub.stats().events.LIMIT_WAITING, 1);
    calls[0].resolve('write');
    assert.equal((await first.response()).status, 101);
    const again = outcome(server, headers, fabricTarget('another'));
    await until('the app to be asked again', () => calls.length === 2);
    calls[1].resolve('write');
    assert.equal((await again).type, 'connected');
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
