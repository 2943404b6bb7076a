// What a peer may say in its close frame, byte by byte: what it is answered, and what the handler and the log are told.
import assert from 'node:assert/strict';
import { describe, test, after, before } from 'node:test';
import { recordingHandler } from '../support/handlers.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { CLOSE, frame, PING, TEXT } from '../support/raw-client.mjs';

const LEGAL = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999];
const ILLEGAL = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65_535];
const NONE = Buffer.alloc(0);

function payload(code, reason = '') {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

describe('a close frame', () => {
  let server;
  before(async () => (server = await HubServer.start({ onSecurityEvent() {} })));
  after(() => server.close());

  /** Closes connections of a handler and of the fabric with `bytes`; both must be answered with `answer`, and end. */
  async function closes(bytes, answer, told) {
    const { path, called } = recordingHandler();
    const [raw, fabric] = [await server.raw(), await server.raw()];
    await raw.upgrade(path);
    await fabric.open(uniqueId());
    for (const client of [raw, fabric]) {
      client.write(bytes);
      const { opcode, masked, payload: answered } = await client.frame();
      assert.deepEqual([opcode, masked], [CLOSE, false]);
      assert.deepEqual(answered, answer);
      await client.gone();
      client.drop();
    }
    assert.deepEqual(await called('onClose'), [told]);
  }

  for (const code of LEGAL) {
    test(`with ${code} is answered by the same, and the handler is told`, async () => {
      await closes(frame(CLOSE, payload(code)), payload(code), [code, '']);
      await closes(frame(CLOSE, payload(code, 'größer')), payload(code, 'größer'), [code, 'größer']);
    });
  }

  for (const code of ILLEGAL) {
    test(`with ${code} is answered by 1002, and for the handler the peer left without a word`, async () => {
      const seen = server.hub.stats().events.BAD_FRAME ?? 0;
      await closes(frame(CLOSE, payload(code)), payload(1002, 'Protocol error'), [1006, '']);
      await closes(frame(CLOSE, payload(code, 'why')), payload(1002, 'Protocol error'), [1006, '']);
      assert.equal(server.hub.stats().events.BAD_FRAME, seen + 4);
    });
  }

  test('without a code is answered by none: 1005', () => closes(frame(CLOSE), NONE, [1005, '']));

  test('with half a code: 1002', () =>
    closes(frame(CLOSE, Buffer.from([3])), payload(1002, 'Protocol error'), [1006, '']));

  for (const [what, bytes] of Object.entries({
    'a byte that is never in UTF-8': [0xff],
    'a surrogate': [0xed, 0xa0, 0x80],
    'an overlong form': [0xc0, 0xaf],
    'half a character': [0x61, 0xc3],
  })) {
    test(`with ${what} in its reason: 1007`, () => {
      const bad = Buffer.concat([payload(1000), Buffer.from(bytes)]);
      return closes(frame(CLOSE, bad), payload(1007, 'Text is not UTF-8'), [1006, '']);
    });
  }

  test('with the longest reason is answered whole', () => {
    const longest = payload(4000, 'x'.repeat(123));
    return closes(frame(CLOSE, longest), longest, [4000, 'x'.repeat(123)]);
  });

  test('that is unmasked, in fragments, too long or with a reserved bit: 1002', async () => {
    const bye = payload(1000);
    const wrong = [{ masked: false }, { fin: false }, { reserved: 4 }].map((how) => frame(CLOSE, bye, how));
    for (const bytes of [...wrong, frame(CLOSE, payload(1000, 'x'.repeat(124)))]) {
      await closes(bytes, payload(1002, 'Protocol error'), [1006, '']);
    }
  });

  test('between the fragments of a message ends it, and nothing after a close frame is read', async () => {
    const bytes = [
      frame(TEXT, 'half', { fin: false }),
      frame(CLOSE, payload(3000)),
      frame(PING, '?'),
      frame(TEXT, 'x'),
    ];
    await closes(Buffer.concat(bytes), payload(3000), [3000, '']);
    await closes(Buffer.concat([frame(CLOSE, payload(1014)), frame(CLOSE, payload(4000))]), payload(1014), [1014, '']);
  });

  test('that answers the hub’s own says what the handler is told', async () => {
    const { path, called, sockets } = recordingHandler();
    const raw = await server.raw();
    await raw.upgrade(path);
    await called('onConnect');
    sockets[0].close(4000, 'mine');
    assert.deepEqual(await raw.closeFrame(), { code: 4000, reason: 'mine' });
    raw.write(frame(CLOSE, payload(1014, 'yours')));
    await raw.gone();
    assert.deepEqual(await called('onClose'), [[1014, 'yours']]);
  });
});
