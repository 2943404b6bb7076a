// What stands in Rust and in JavaScript is the same in both.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import test, { before, describe } from 'node:test';
import { HubServer, ROOT, uniqueId } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import { fabricTarget, upgradeRequest } from '../support/raw-client.mjs';
import { one, rustBlock, rustNumber, rustSources } from '../support/sources.mjs';

const require = createRequire(import.meta.url);
const { trustedProxies } = require('../../js/admission/forwarded.js');
const { isFinal } = require('../../js/client/reconnecting-socket.js');
const { DEFAULTS: LIMITS } = require('../../js/hub/limits.js');
const { loadNative } = require('../../js/hub/native.js');
const { DEFAULTS, hubOptions } = require('../../js/hub/options.js');
const { isSendable } = require('../../js/hub/close-codes.js');
const { TEXTS: REFUSALS } = require('../../js/http/refuse.js');
const { MAX_ID_BYTES } = require('../../js/shared/ids.js');

const rust = rustSources();
const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

test('an id may be as long on both sides', () => {
  assert.equal(MAX_ID_BYTES, Number(one(rust, /pub const MAX_ID_BYTES: usize = (\d+);/)));
});

test('the close codes that a frame may carry are those that handlers may give', () => {
  const ranges = one(rust, /fn is_sendable\(code: u16\) -> bool \{\s*matches!\(code, ([^)]+)\)/)
    .split('|')
    .map((range) => range.trim().split('..=').map(Number));
  assert.ok(ranges.length >= 3 && ranges.flat().every(Number.isInteger), ranges.join());
  for (let code = 0; code <= 0xffff; code += 1) {
    const isRust = ranges.some(([first, last = first]) => code >= first && code <= last);
    assert.equal(isSendable(code), isRust, String(code));
  }
});

test('the client comes back after those close codes of the hub that another try may change', () => {
  const codes = [...rust.matchAll(/pub const ([A-Z_\d]+): u16 = ([1-4]\d{3});/g)];
  assert.ok(codes.length > 10, String(codes.length));
  const passing = codes.filter(([, , code]) => !isFinal(Number(code))).map(([, name]) => name);
  assert.deepEqual(passing.sort(), ['INTERNAL_ERROR', 'REPLACED', 'SERVICE_RESTART', 'TRY_AGAIN_LATER']);
});

/** The range in which JavaScript takes a number, by what it says of one that is outside of all of them. */
function rangeOf(name) {
  try {
    hubOptions({ [name]: -1 });
  } catch ({ message }) {
    const range = / from (\d+) to (\d+), not -1$/.exec(message);
    return range?.slice(1).map(Number);
  }
  return assert.fail(`${name} may be -1`);
}

describe('the range of an option', () => {
  const { NativeHub } = loadNative();

  /** Whether the native side makes a hub with it, which is closed again. */
  async function isTaken(name, value) {
    let hub;
    try {
      hub = new NativeHub({ threads: 1, logLevel: 'off', [name]: value }, () => {});
    } catch ({ code, message }) {
      assert.deepEqual([code, message.includes(name)], ['HUB_INVALID_ARGUMENT', true], message);
      return false;
    }
    await hub.close(0, 0);
    hub.discard();
    return true;
  }

  // Numbers that the native side is given, but for those that have no range there: whatever a u32 holds is right.
  const RANGED = ['threads', 'maxMessageBytes', 'maxOutboxBytes', 'maxInboxBytes', 'heartbeatIntervalMs', 'maxDepth'];
  for (const name of [...RANGED, 'recoveryWindowMs']) {
    test(`${name} is the same on both sides`, async () => {
      const [min, max] = rangeOf(name);
      assert.equal(await isTaken(name, min), true, `${min}`);
      assert.equal(await isTaken(name, max), true, `${max}`);
      assert.equal(await isTaken(name, min - 1), false, `${min - 1}`);
      if (max < 0xffff_ffff) assert.equal(await isTaken(name, max + 1), false, `${max + 1}`);
    });
  }

  for (const name of ['heartbeatIntervalMs', 'recoveryWindowMs']) {
    test(`${name} has 0 beside it, for off`, async () => {
      assert.equal(hubOptions({ [name]: 0 })[name], 0);
      assert.equal(await isTaken(name, 0), true);
    });
  }

  test('of the secret is the same on both sides', async () => {
    for (const [length, isRight] of [
      [31, false],
      [32, true],
    ]) {
      const tokenSecret = 'x'.repeat(length);
      const check = () => hubOptions({ tokenSecret });
      if (isRight) check();
      else assert.throws(check, { code: 'HUB_INVALID_ARGUMENT' });
      assert.equal(await isTaken('tokenSecret', tokenSecret), isRight);
    }
  });
});

/** `name: value` of the lines of a Rust block, by the name in camel case. */
function fieldsOf(block) {
  return new Map([...block.matchAll(/^ {12}(\w+): (.+),$/gm)].map(([, name, value]) => [camelCase(name), value]));
}

describe('the default', () => {
  const declared = fs.readFileSync(path.join(ROOT, 'server.d.ts'), 'utf8');

  /** The first number after "Default" in the comment of an option, in bytes or milliseconds. */
  function documented(name) {
    const comment = one(declared, new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s+${name}\\?: `)).replace(
      /\s*\n\s*\* ?/g,
      ' ',
    );
    const [, digits, unit] = /\bDefault (\d[\d ]*\d|\d)(?: (KiB|MiB)\b)?/.exec(comment) ?? [];
    return Number(digits?.replaceAll(' ', '')) * ({ KiB: 1024, MiB: 1024 ** 2 }[unit] ?? 1);
  }

  test('of each option is the one of the native side and of the declarations', () => {
    const fields = fieldsOf(rustBlock(rust, 'impl Default for Config'));
    const [, messages, bytes, totalBytes] =
      /Self \{ messages: (.+), bytes: (.+), total_bytes: (.+) \}/.exec(
        rustBlock(rust, 'impl Default for HistoryLimits'),
      ) ?? [];
    const native = {
      maxMessageBytes: fields.get('maxMessageBytes'),
      maxOutboxBytes: fields.get('maxOutboxBytes'),
      maxInboxBytes: fields.get('maxInboxBytes'),
      heartbeatIntervalMs: fields.get('heartbeat'),
      maxDepth: fields.get('maxDepth'),
      recoveryWindowMs: fields.get('recoveryWindow'),
      sessionWarningMs: fields.get('sessionWarning'),
      historyMaxMessages: messages,
      historyMaxBytes: bytes,
      historyTotalBytes: totalBytes,
    };
    for (const [name, written] of Object.entries(native)) {
      assert.ok(written, `${name} is found`);
      assert.equal(documented(name), rustNumber(written), name);
      if (name in DEFAULTS) assert.equal(DEFAULTS[name], rustNumber(written), name);
    }
    for (const name of ['registrationTimeoutMs', 'admissionTimeoutMs']) {
      assert.equal(documented(name), DEFAULTS[name], name);
    }
  });

  test('of each limit is the one of the native side and of the declarations', () => {
    const native = {};
    for (const [name, value] of fieldsOf(rustBlock(rust, 'impl Default for Limits'))) {
      const [, perSecond, burst] = /^Rate::new\((.+), (.+)\)$/.exec(value) ?? [];
      if (perSecond) {
        native[`${name}PerSecond`] = rustNumber(perSecond);
        native[`${name.replace(/s$/, '')}Burst`] = rustNumber(burst);
      } else native[name === 'patience' ? 'patienceMs' : name] = rustNumber(value);
    }
    assert.deepEqual(LIMITS, native);
    for (const [name, value] of Object.entries(LIMITS)) assert.equal(documented(name), value, name);
  });
});

describe('a closed union of the declarations', () => {
  const read = (...names) => fs.readFileSync(path.join(ROOT, ...names), 'utf8');
  /** What is between the quotes of `export type name = 'a' | 'b';`. */
  const union = (file, name) => quoted(one(read(file), new RegExp(`export type ${name} =([^;]+);`)), /'([\w-]+)'/g);
  /** What `pattern` captures, of which there must be some. */
  function quoted(text, pattern) {
    const found = [...text.matchAll(pattern)].map((match) => match[1]);
    assert.notEqual(found.length, 0, `${pattern}`);
    return found;
  }
  const set = (...lists) => [...new Set(lists.flat())].sort();

  let security;
  before(async () => {
    const server = await HubServer.start();
    security = Object.keys(server.hub.stats().events);
    await server.close();
  });

  test('of security events has the codes that a hub counts, and the one for what found no place', () => {
    assert.deepEqual(union('server.d.ts', 'SecurityEventCode'), set(security, 'SUPPRESSED'));
  });

  test('of security events is what JavaScript reports', () => {
    const files = fs.readdirSync(path.join(ROOT, 'js', 'admission'));
    const sources = files.map((file) => read('js', 'admission', file)).join('\n');
    const codes = set(quoted(sources, /'((?!HUB_)[A-Z]+_[A-Z_]+)'/g));
    assert.ok(codes.includes('SESSION_FORGED') && codes.includes('LIMIT_WAITING'), codes.join());
    assert.deepEqual(
      codes.filter((code) => !union('server.d.ts', 'SecurityEventCode').includes(code)),
      [],
    );
  });

  test('of what the client is told has every message that the hub and route handlers send', () => {
    const sent = set(
      quoted(rust, /"type":"([\w-]+)"/g),
      quoted(read('js', 'index.js'), /\btype"?: ?['"]([\w-]+)['"]/g),
    );
    const declared = quoted(one(read('client.d.ts'), /export type FabricMessage =([^]+?);\n\n/), /type: '([\w-]+)'/g);
    // These are the client's own affair; it tells them as events.
    assert.deepEqual(set(declared, ['ack', 'connected', 'recovered', 'reload']), sent);
  });

  test('of the codes of errors and reloads has those of the native side', () => {
    const codes = union('client.d.ts', 'FabricErrorCode');
    const reasons = union('client.d.ts', 'FabricReloadReason').filter((reason) => reason !== 'OFFSETS_OUT_OF_ORDER');
    const written = quoted(rust, /(?:=> |"code":)"([A-Z]+_[A-Z_]+|UNEXPECTED)"/g).filter(
      (code) => !code.startsWith('HUB_'),
    );
    for (const code of [...codes, ...reasons]) assert.ok(written.includes(code), code);
    assert.deepEqual(set(codes, reasons, security), set(written, security));
  });
});

describe('an address that is most likely a proxy’s', () => {
  /** Both ends of each range that 'loopback' and 'private' name; below, what lies next to them outside. */
  const OF_PROXIES = [
    ['127.0.0.0', '127.255.255.255'],
    ['10.0.0.0', '10.255.255.255'],
    ['172.16.0.0', '172.31.255.255'],
    ['192.168.0.0', '192.168.255.255'],
    ['169.254.0.0', '169.254.255.255'],
    ['::1', '::ffff:10.0.0.1'],
    ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ].flat();
  const OF_CLIENTS = [
    ['126.255.255.255', '128.0.0.0', '9.255.255.255', '11.0.0.0', '172.15.255.255', '172.32.0.0'],
    ['192.167.255.255', '192.169.0.0', '169.253.255.255', '169.255.0.0', '100.63.255.255', '100.128.0.0'],
    ['fbff::1', 'fe00::1', 'fe7f::1', 'fec0::1', '2001:db8::1'],
  ].flat();
  /** Nobody's proxy, and nobody's own: a carrier's network behind one address, and no address at all. */
  const OF_NEITHER = ['100.64.0.0', '100.127.255.255', '0.0.0.0', '::'];

  test("is one of 'loopback' and 'private', and counts as nobody's where nobody named it", async (t) => {
    const isProxy = trustedProxies(['loopback', 'private']);
    const server = await HubServer.start({ limits: { connectionsPerAddress: 1 } });
    t.after(() => server.close());
    let peer;
    server.server.prependListener('upgrade', (request) => {
      Object.defineProperty(request.socket, 'remoteAddress', { value: peer, configurable: true });
    });
    /** Whether a second connection of that address may come. */
    const isShared = async (address) => {
      peer = address;
      const first = await server.connect(uniqueId());
      const second = server.open(`/ws/fabric?documentId=${uniqueId()}&clientID=second`);
      const [data] = await Promise.race([once(second.socket, 'message'), once(second.socket, 'close')]);
      first.drop();
      second.drop();
      return data !== 1013;
    };
    const plain = (address) => address.replace('::ffff:', '');
    for (const address of OF_PROXIES) {
      assert.equal(isProxy(plain(address)), true, address);
      assert.equal(await isShared(address), true, address);
    }
    for (const address of OF_CLIENTS) {
      assert.equal(isProxy(address), false, address);
      assert.equal(await isShared(address), false, address);
    }
    for (const address of OF_NEITHER) {
      assert.equal(isProxy(address), false, address);
      assert.equal(await isShared(address), true, address);
    }
  });
});

describe('a refused upgrade', () => {
  test('has the phrase of its status on both sides', () => {
    const phrases = [...rust.matchAll(/(?:Refusal|Self)::new\((\d{3}), "([^"]+)"/g)];
    assert.ok(phrases.length >= 5, String(phrases.length));
    for (const [, status, phrase] of phrases) assert.equal(phrase, STATUS_CODES[status]);
    for (const [status, phrase] of Object.entries(REFUSALS)) assert.equal(phrase, STATUS_CODES[status]);
  });

  test('is answered with the same headers whichever side refuses it', async () => {
    const server = await HubServer.start();
    try {
      const refusal = async (options) => {
        const raw = await server.raw();
        raw.write(upgradeRequest(fabricTarget(uniqueId()), options));
        const { status, headers, text } = await raw.response();
        await until('the end of the connection', () => raw.ended);
        const { 'content-length': length, ...others } = headers;
        assert.equal(Number(length), Buffer.byteLength(text));
        return { status, text, headers: others };
      };
      const script = await refusal({ headers: { Origin: 'http://evil.example' } });
      const native = await refusal({ version: '1.0' });
      assert.deepEqual([script.status, native.status], [403, 505]);
      assert.deepEqual(script.headers, native.headers);
      assert.ok(script.text.length > 0 && native.text.length > 0);
    } finally {
      await server.close();
    }
  });
});
