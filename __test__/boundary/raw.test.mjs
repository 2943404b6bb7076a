// Bad input, byte by byte: each gets a clear answer, and nobody else suffers.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'node:test';
import { getConnectionCount } from '../../js/index.js';
import { HubServer, overEveryWay, uniqueId, WAYS } from '../support/hub-server.mjs';
import { until } from '../support/processes.mjs';
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  fabricTarget,
  frame,
  PING,
  PONG,
  TEXT,
  upgradeRequest,
} from '../support/raw-client.mjs';

const TARGET = fabricTarget('document');
const MIB = 1024 * 1024;

/** A listener that answers /slow when it is told to, and everything else at once. */
function listener() {
  const waiting = [];
  const listen = (request, response) => {
    const answer = () => response.end(`page ${request.url}`);
    if (request.url === '/slow') waiting.push(answer);
    else answer();
  };
  return Object.assign(listen, { waiting });
}

/**
 * Does something bad while two honest clients talk, and then makes sure that they noticed nothing, and that nothing
 * of it is left in the counts.
 */
async function beside(server, deed) {
  const documentId = uniqueId('honest');
  const [one, other] = [await server.connect(documentId, 'one'), await server.connect(documentId, 'other')];
  const before = getConnectionCount('fabric');
  one.send({ type: 'update', documentId, update: 'before' });
  // Whoever comes with the deed comes after it.
  await other.receivedAll('update', 1);
  await deed(documentId);
  one.send({ type: 'update', documentId, update: 'after' });
  const updates = await other.receivedAll('update', 2);
  assert.deepEqual(
    updates.map((message) => message.update),
    ['before', 'after'],
  );
  await until('the counts to return', () => getConnectionCount('fabric') === before);
  assert.equal(getConnectionCount(documentId), 2);
  assert.deepEqual([one.closed, other.closed], [null, null]);
  await Promise.all([one.close(), other.close()]);
}

function framing(at) {
  /** An upgraded connection writes `bytes` and must be closed with `code`. */
  function closes(what, code, bytes, { reason = /./ } = {}) {
    test(`${what}: ${code}`, () =>
      beside(at.server, async (documentId) => {
        const raw = await at.server.raw();
        await raw.open(documentId);
        assert.equal(getConnectionCount(documentId), 3);
        raw.write(...bytes);
        const close = await raw.closeFrame();
        assert.equal(close.code, code);
        assert.match(close.reason, reason);
        // It is out of the counts before the peer can know of it.
        assert.equal(getConnectionCount(documentId), 2);
        await raw.gone();
        raw.drop();
      }));
  }

  closes('an unmasked frame', 1002, [frame(TEXT, '{}', { masked: false })]);
  closes('an unmasked ping', 1002, [frame(PING, '', { masked: false })]);
  for (const reserved of [1, 2, 4, 7]) closes(`reserved bits ${reserved}`, 1002, [frame(TEXT, '{}', { reserved })]);
  closes('reserved bits on a control frame', 1002, [frame(PING, '', { reserved: 4 })]);
  for (const opcode of [3, 7, 0xb, 0xf]) closes(`reserved opcode ${opcode}`, 1002, [frame(opcode, '')]);
  closes('a continuation of nothing', 1002, [frame(CONTINUATION, 'x')]);
  closes('a new message between fragments', 1002, [frame(TEXT, 'a', { fin: false }), frame(TEXT, 'b')]);
  closes('a continuation after the last fragment', 1002, [
    frame(TEXT, '{"type":', { fin: false }),
    frame(CONTINUATION, '1}'),
    frame(CONTINUATION, 'x'),
  ]);
  closes('a fragmented ping', 1002, [frame(PING, 'x', { fin: false })]);
  for (const opcode of [PING, PONG, CLOSE]) {
    closes(`a control frame 0x${opcode.toString(16)} over 125 bytes`, 1002, [frame(opcode, Buffer.alloc(126, 0x61))]);
  }
  closes('a control frame that claims a gigabyte', 1002, [frame(PING, '', { length: 2 ** 30 })]);
  closes('text that is no UTF-8', 1007, [frame(TEXT, Buffer.from([0x7b, 0xff, 0x7d]))]);
  closes('text with a surrogate in UTF-8', 1007, [frame(TEXT, Buffer.from([0xed, 0xa0, 0x80]))]);
  closes('text that ends inside a character', 1007, [frame(TEXT, Buffer.from('é').subarray(0, 1))]);
  closes('fragments whose text is no UTF-8', 1007, [
    frame(TEXT, Buffer.from([0xc3]), { fin: false }),
    frame(CONTINUATION, Buffer.from([0x28])),
  ]);
  closes('a message over the limit', 1009, [frame(TEXT, Buffer.alloc(MIB + 1, 0x20))]);
  closes('a frame that only says it is over the limit', 1009, [frame(TEXT, 'x', { length: MIB + 1 })]);
  closes('a frame that says it is larger than memory', 1009, [frame(BINARY, 'x', { length: Number.MAX_SAFE_INTEGER })]);
  closes('fragments that are together over the limit', 1009, [
    frame(TEXT, Buffer.alloc(MIB / 2, 0x20), { fin: false }),
    frame(CONTINUATION, Buffer.alloc(MIB / 2, 0x20), { fin: false }),
    frame(CONTINUATION, ' '),
  ]);
  closes('a close frame with half a code', 1002, [frame(CLOSE, Buffer.from([3]))]);
  closes('a close frame with a code nobody may send', 1002, [frame(CLOSE, Buffer.from([1005 >> 8, 1005 & 0xff]))]);
  closes('a close frame whose reason is no UTF-8', 1007, [frame(CLOSE, Buffer.from([1000 >> 8, 1000 & 0xff, 0xff]))]);

  test('messages before the bad frame are served, and those after it are not', () =>
    beside(at.server, async (documentId) => {
      const [raw, reader] = [await at.server.raw(), await at.server.connect(documentId, 'reader')];
      await raw.open(documentId);
      const update = (text) => frame(TEXT, JSON.stringify({ type: 'awareness', documentId, awareness: text }));
      raw.write(Buffer.concat([update('good'), frame(TEXT, '', { reserved: 1 }), update('bad')]));
      assert.equal((await raw.closeFrame()).code, 1002);
      await reader.synced(documentId);
      assert.deepEqual(
        reader.all('awareness').map((message) => message.awareness),
        ['good'],
      );
      await reader.close();
      raw.drop();
    }));

  test('a message of exactly the limit is served', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      await raw.open(documentId);
      const text = JSON.stringify({ type: 'sync', documentId });
      raw.write(frame(TEXT, text.padEnd(MIB, ' ')));
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.drop();
    }));

  test('a frame that comes byte by byte is served', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      await raw.open(documentId);
      for (const byte of frame(TEXT, JSON.stringify({ type: 'sync', documentId, pad: 'x'.repeat(130) }))) {
        raw.write(Buffer.from([byte]));
        await turn();
      }
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.drop();
    }));

  test('a message in fragments with a ping between them is served', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      await raw.open(documentId);
      const text = Buffer.from(JSON.stringify({ type: 'sync', documentId, pad: 'é'.repeat(9) }));
      raw.write(frame(TEXT, text.subarray(0, text.length - 4), { fin: false }), frame(PING, 'now'));
      const pong = await raw.frameOf(PONG);
      assert.equal(pong.payload.toString(), 'now');
      raw.write(frame(CONTINUATION, '', { fin: false }), frame(CONTINUATION, text.subarray(text.length - 4)));
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.drop();
    }));

  test("the hub's frames are unmasked, whole and text", () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      await raw.upgrade(fabricTarget(documentId));
      const { fin, opcode, masked } = await raw.frame();
      assert.deepEqual({ fin, opcode, masked }, { fin: true, opcode: TEXT, masked: false });
      raw.drop();
    }));

  test('pings are answered with what they hold, and pongs nobody asked for with nothing', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      await raw.open(documentId);
      raw.write(frame(PONG, 'unasked'), frame(PING, 'x'.repeat(125)), frame(PING));
      assert.equal((await raw.frameOf(PONG)).payload.toString(), 'x'.repeat(125));
      assert.equal((await raw.frameOf(PONG)).payload.length, 0);
      raw.drop();
    }));

  test('a close frame is answered with its code, and the connection ended', () =>
    beside(at.server, async (documentId) => {
      for (const [payload, code] of [
        [Buffer.from([3, 232]), 1000],
        [Buffer.from([0x0f, 0xa1]), 4001],
        ['', 1005],
      ]) {
        const raw = await at.server.raw();
        await raw.open(documentId);
        raw.write(frame(CLOSE, payload));
        assert.equal((await raw.closeFrame()).code, code);
        assert.equal(getConnectionCount(documentId), 2);
        await raw.gone();
        raw.drop();
      }
    }));

  const half = frame(TEXT, 'x'.repeat(1000)).subarray(0, 500);
  const ends = { 'a reset': (raw) => raw.reset(), 'a FIN': (raw) => raw.socket.end() };
  for (const [how, end] of Object.entries(ends)) {
    const moments = {
      'between frames': '',
      'in the middle of a frame': half,
      'in the middle of a header': half.subarray(0, 1),
      'between fragments': frame(TEXT, 'x', { fin: false }),
    };
    for (const [when, bytes] of Object.entries(moments)) {
      test(`${how} ${when} ends the connection and its count`, () =>
        beside(at.server, async (documentId) => {
          const raw = await at.server.raw();
          await raw.open(documentId);
          if (bytes.length > 0) raw.write(bytes);
          end(raw);
          await until('the count to fall', () => getConnectionCount(documentId) === 2);
          await raw.gone();
        }));
    }

    test(`${how} in the middle of the handshake leaves nothing`, () =>
      beside(at.server, async () => {
        const request = upgradeRequest(TARGET);
        for (const length of [1, 20, request.length - 2, request.length]) {
          const raw = await at.server.raw();
          raw.write(request.slice(0, length));
          end(raw);
        }
      }));
  }

  test('a hundred connections that are reset at any moment leave nothing', () =>
    beside(at.server, async (documentId) => {
      const all = await Promise.all(Array.from({ length: 100 }, () => at.server.raw()));
      for (const [index, raw] of all.entries()) {
        raw.write(upgradeRequest(fabricTarget(documentId, `c${index}`)));
        raw.write(frame(TEXT, JSON.stringify({ type: 'awareness', documentId, awareness: index })));
        if (index % 3 === 0) await turn();
        raw.reset();
      }
      await until('the count to fall', () => getConnectionCount(documentId) === 2);
    }));
}

function handshake(at) {
  /** A request is answered within HTTP, and the connection closed behind the answer. */
  function answers(what, status, options, { text = /./, headers = {}, body = '' } = {}) {
    test(`${what}: ${status}`, () =>
      beside(at.server, async () => {
        const raw = await at.server.raw();
        raw.write(upgradeRequest(TARGET, options) + body);
        const response = await raw.response();
        assert.equal(response.status, status);
        assert.match(response.text, text);
        assert.equal(response.headers.connection, 'close');
        for (const [name, value] of Object.entries(headers)) assert.equal(response.headers[name], value);
        await raw.gone();
        raw.drop();
      }));
  }

  const key = (value) => ({ headers: { 'Sec-WebSocket-Key': value } });
  answers('no key', 400, key(undefined), { text: /Sec-WebSocket-Key/ });
  answers('an empty key', 400, key(''), { text: /Sec-WebSocket-Key/ });
  answers('a short key', 400, key('c2hvcnQ='), { text: /Sec-WebSocket-Key/ });
  answers('a long key', 400, key('dGhpcyBpcyBtb3JlIHRoYW4gMTYgYnl0ZXM='), { text: /Sec-WebSocket-Key/ });
  answers('a key that is no base64', 400, key('dGhlIHNhbXBsZSBub25jZ!=='), { text: /Sec-WebSocket-Key/ });
  answers('two keys', 400, { headers: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' } }, { text: /once/ });
  for (const version of [undefined, '', '8', '12', '14', '13, 8', '1.3', '+13', 'x']) {
    const spoken = { headers: { 'sec-websocket-version': '13' }, text: /13/ };
    answers(
      `Sec-WebSocket-Version ${version ?? 'missing'}`,
      426,
      { headers: { 'Sec-WebSocket-Version': version } },
      spoken,
    );
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
    answers(method, 405, { method }, { headers: { allow: 'GET' } });
  }
  answers('a body by Content-Length', 400, { headers: { 'Content-Length': '5' } }, { text: /body/, body: 'hello' });
  answers('a body by Content-Length that never comes', 400, { headers: { 'Content-Length': '5' } }, { text: /body/ });
  answers(
    'a chunked body',
    400,
    { headers: { 'Transfer-Encoding': 'chunked' } },
    { text: /body/, body: '5\r\nhello\r\n0\r\n\r\n' },
  );
  answers('HTTP/1.0', 505, { version: '1.0' });
  answers('an upgrade to something else', 400, { headers: { Upgrade: 'h2c' } }, { text: /WebSocket/i });

  test('a Content-Length of 0 is no body', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      raw.write(upgradeRequest(TARGET, { headers: { 'Content-Length': '0' } }));
      assert.equal((await raw.response()).status, 101);
      raw.drop();
    }));

  test('header names and tokens count in any case and in lists', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      const headers = { Connection: 'keep-alive, UPGRADE', Upgrade: 'h2c, WebSocket', 'Sec-WebSocket-Version': ' 13 ' };
      raw.write(upgradeRequest(TARGET, { headers }));
      const response = await raw.response();
      assert.equal(response.status, 101);
      assert.equal(response.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
      raw.drop();
    }));

  test('extensions are offered in vain, and that is no fault; of subprotocols the first is taken', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      const headers = { 'Sec-WebSocket-Extensions': 'permessage-deflate', 'Sec-WebSocket-Protocol': 'a, b' };
      raw.write(upgradeRequest(fabricTarget(documentId), { headers }));
      const response = await raw.response();
      assert.equal(response.status, 101);
      assert.equal(response.headers['sec-websocket-extensions'], undefined);
      assert.equal(response.headers['sec-websocket-protocol'], 'a');
      assert.match((await raw.frame()).payload.toString(), /"connected"/);
      raw.drop();
    }));

  test('a request in many pieces is served', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      for (const byte of upgradeRequest(TARGET)) {
        raw.write(byte);
        await turn();
      }
      assert.equal((await raw.response()).status, 101);
      raw.drop();
    }));

  test('first frames in the same packet as the request are served, in order', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      const sync = frame(TEXT, JSON.stringify({ type: 'sync', documentId }));
      const request = Buffer.from(upgradeRequest(fabricTarget(documentId)));
      raw.write(Buffer.concat([request, sync, frame(PING, 'early'), sync, sync.subarray(0, 5)]));
      assert.equal((await raw.response()).status, 101);
      const types = [];
      for (let index = 0; index < 4; index += 1) types.push((await raw.frame()).payload.toString());
      assert.match(types[0], /"connected"/);
      assert.equal(types.filter((text) => text.includes('"synced"')).length, 2);
      assert.ok(types.includes('early'));
      raw.write(sync.subarray(5));
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.drop();
    }));

  test('a large first frame that follows at once is served', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      const text = JSON.stringify({ type: 'sync', documentId }).padEnd(900_000, ' ');
      raw.write(Buffer.concat([Buffer.from(upgradeRequest(fabricTarget(documentId))), frame(TEXT, text)]));
      assert.equal((await raw.response()).status, 101);
      await raw.frame();
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.drop();
    }));

  test('a bad frame in the same packet as the request closes after connected', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      const request = Buffer.from(upgradeRequest(fabricTarget(documentId)));
      raw.write(Buffer.concat([request, frame(TEXT, 'x', { masked: false })]));
      assert.equal((await raw.response()).status, 101);
      assert.match((await raw.frame()).payload.toString(), /"connected"/);
      assert.equal((await raw.closeFrame()).code, 1002);
      await raw.gone();
      raw.drop();
    }));

  test('an upgrade on a connection that has served pages before works', () =>
    beside(at.server, async (documentId) => {
      const raw = await at.server.raw();
      for (let index = 0; index < 3; index += 1) {
        raw.write('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n');
        assert.equal((await raw.response()).text, 'page /page');
      }
      await raw.open(documentId);
      assert.equal(getConnectionCount(documentId), 3);
      raw.drop();
    }));

  test('an upgrade behind an unanswered request waits for its answer and is refused', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      raw.write(`GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest(TARGET)}`);
      await until('the request', () => at.listener.waiting.length > 0);
      await turn();
      at.listener.waiting.shift()();
      const page = await raw.response();
      assert.deepEqual([page.status, page.text], [200, 'page /slow']);
      const refusal = await raw.response();
      assert.equal(refusal.status, 400);
      assert.match(refusal.text, /unanswered request/);
      await raw.gone();
      raw.drop();
    }));

  test('an upgrade right behind a request that is answered at once never mixes the answers', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      raw.write(`GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest(TARGET)}`);
      assert.equal((await raw.response()).text, 'page /page');
      const { status } = await raw.response();
      assert.ok(status === 101 || status === 400, `answered ${status}`);
      raw.drop();
    }));

  test('a peer that leaves while its upgrade waits behind a request harms nobody', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      raw.write(`GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n${upgradeRequest(TARGET)}`);
      await until('the request', () => at.listener.waiting.length > 0);
      raw.reset();
      await turn();
      at.listener.waiting.shift()();
    }));

  test('a refused peer that goes on sending still reads its refusal', () =>
    beside(at.server, async () => {
      const raw = await at.server.raw();
      raw.write(upgradeRequest(TARGET, key('short')), Buffer.alloc(256 * 1024));
      assert.equal((await raw.response()).status, 400);
      await raw.gone();
      raw.drop();
    }));
}

const answering = listener();
overEveryWay(
  (at) => {
    at.listener = answering;
    handshake(at);
    framing(at);
  },
  { listener: answering },
);

for (const way of WAYS) {
  test(`maxMessageBytes moves the limit over ${way}`, async () => {
    const server = await HubServer.start({ way, maxMessageBytes: 2048 });
    try {
      const documentId = uniqueId();
      const raw = await server.raw();
      await raw.open(documentId);
      raw.write(frame(TEXT, JSON.stringify({ type: 'sync', documentId }).padEnd(2048, ' ')));
      assert.match((await raw.frame()).payload.toString(), /"synced"/);
      raw.write(frame(TEXT, Buffer.alloc(2049, 0x20)));
      assert.equal((await raw.closeFrame()).code, 1009);
    } finally {
      await server.close();
    }
  });
}
