// The fabric endpoint's protocol, message by message, as clients of the npm package `ws` see it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { getConnectionCount } from '../../js/index.js';
import { overEveryWay, uniqueId } from '../support/hub-server.mjs';
import { rawUpgrade } from '../support/fabric-client.mjs';

const PUBLISHED = [
  ['update', { update: { bytes: [1, 2, 3] } }],
  ['awareness', { awareness: { cursor: 4, user: { name: 'Åsa' } } }],
  ['selection', { selection: { anchor: 1, head: 9 } }],
  ['steps', { steps: [{ stepType: 'replace', from: 1, to: 2 }], version: 7 }],
];

/** The hub's answer to a message that it cannot obey. */
function refusal(code) {
  return { type: 'error', message: 'Invalid message format', code };
}

/** Sends `fields` as a raw text, so that what JavaScript cannot hold gets onto the wire. */
function sendText(client, documentId, type, fields) {
  client.socket.send(`{"type":"${type}","documentId":${JSON.stringify(documentId)},${fields}}`);
}

overEveryWay((at) => {
  async function two() {
    const documentId = uniqueId();
    const [one, other] = await Promise.all([
      at.server.connect(documentId, 'one'),
      at.server.connect(documentId, 'other'),
    ]);
    return { documentId, one, other };
  }

  test('the first message says who the hub takes the client to be', async () => {
    const documentId = `${uniqueId()} "é" & 日本`;
    const client = await at.server.connect(documentId, 'Zoë "z" 1/2');
    assert.equal(client.messages.length, 1);
    const { token, epoch, ...rest } = client.messages[0];
    assert.deepEqual(rest, { type: 'connected', clientID: 'Zoë "z" 1/2', documentId, offset: 0 });
    assert.match(token, /^[\w-]{54}$/);
    assert.match(epoch, /^[0-9a-f]{16}$/);
    assert.equal(Object.keys(client.messages[0]).join(), 'type,clientID,documentId,token,epoch,offset');
  });

  test('sync is answered with synced, and only to the one who asked', async () => {
    const { documentId, one, other } = await two();
    one.send({ type: 'sync', documentId, stateVector: [0, 1, 2] });
    assert.deepEqual(await one.received((message) => message.type === 'synced'), { type: 'synced', documentId });
    await other.synced(documentId);
    assert.equal(other.all('synced').length, 1);
  });

  for (const [type, fields] of PUBLISHED) {
    test(`${type} reaches the others with the sender's clientID, and never the sender`, async () => {
      const { documentId, one, other } = await two();
      one.send({ type, documentId, ...fields, clientID: 'forged' });
      const [message] = await other.receivedAll(type, 1);
      const position = type === 'update' || type === 'steps' ? { offset: 1 } : {};
      assert.deepEqual(message, { type, documentId, ...fields, clientID: 'one', ...position });
      await one.synced(documentId);
      assert.deepEqual(
        one.messages.map((each) => each.type),
        ['connected', 'synced'],
      );
    });
  }

  test('another document gets nothing', async () => {
    const { documentId, one, other } = await two();
    const elsewhere = uniqueId();
    const stranger = await at.server.connect(elsewhere);
    one.send({ type: 'update', documentId, update: 1 });
    await other.receivedAll('update', 1);
    await stranger.synced(elsewhere);
    assert.deepEqual(
      stranger.messages.map((each) => each.type),
      ['connected', 'synced'],
    );
  });

  test('two tabs of one client each count and each receive', async () => {
    const { documentId, one, other } = await two();
    const tab = await at.server.connect(documentId, 'one');
    assert.equal(getConnectionCount(documentId), 3);
    one.send({ type: 'update', documentId, update: 'from the first tab' });
    for (const client of [tab, other]) {
      const [message] = await client.receivedAll('update', 1);
      assert.equal(message.clientID, 'one');
    }
    await one.synced(documentId);
    assert.equal(one.all('update').length, 0);
    await tab.close();
    assert.equal(getConnectionCount(documentId), 2);
  });

  test('a thousand messages of each of two senders arrive in the order they were sent', async () => {
    const { documentId, one, other } = await two();
    const reader = await at.server.connect(documentId, 'reader');
    for (let index = 0; index < 1000; index += 1) {
      for (const sender of [one, other]) sender.send({ type: 'update', documentId, update: index });
    }
    const all = await reader.receivedAll('update', 2000);
    for (const clientID of ['one', 'other']) {
      const order = all.filter((message) => message.clientID === clientID).map((message) => message.update);
      assert.deepEqual(
        order,
        Array.from({ length: 1000 }, (_, index) => index),
      );
    }
  });

  test('kinds of messages keep their order among each other', async () => {
    const { documentId, one, other } = await two();
    const kinds = Array.from({ length: 400 }, (_, index) => PUBLISHED[index % 4]);
    for (const [type, fields] of kinds) one.send({ type, documentId, ...fields });
    await other.receivedAll('steps', 100);
    assert.deepEqual(
      other.messages.slice(1).map((message) => message.type),
      kinds.map(([type]) => type),
    );
  });

  const payloads = {
    'numbers beyond 2^53': '[9007199254740993,123456789012345678901234567890,1e400,-0,1.0,0.10000000000000000555]',
    'the order of keys, and keys that are there twice': '{"z":1,"a":2,"10":3,"9":4,"z":5,"__proto__":{"x":1}}',
    'unicode, raw and escaped': String.raw`"日本 𝄞 é \u00e9 \ud834\udd1e \u0000 \u2028 \/ \" \\"`,
    'nesting ten thousand levels deep': `${'['.repeat(10_000)}1${']'.repeat(10_000)}`,
    'objects nested ten thousand levels deep': `${'{"a":'.repeat(10_000)}null${'}'.repeat(10_000)}`,
    'half a megabyte': JSON.stringify('x'.repeat(512 * 1024)),
    null: 'null',
  };
  for (const [what, payload] of Object.entries(payloads)) {
    test(`a payload passes through as it is: ${what}`, async () => {
      const { documentId, one, other } = await two();
      for (const type of ['update', 'awareness', 'selection']) {
        sendText(one, documentId, type, `"${type}":${payload}`);
        await other.receivedAll(type, 1);
        assert.ok(other.texts.at(-1).includes(`"${type}":${payload}`), 'the payload was changed');
      }
      sendText(one, documentId, 'steps', `"steps":${payload},"version":9007199254740993`);
      await other.receivedAll('steps', 1);
      assert.ok(
        other.texts.at(-1).includes(`"steps":${payload},"version":9007199254740993`),
        'the payload was changed',
      );
    });
  }

  test('a binary frame with JSON is treated as the text it holds', async () => {
    const { documentId, one, other } = await two();
    let binary = false;
    other.socket.on('message', (_data, isBinary) => (binary ||= isBinary));
    one.socket.send(Buffer.from(JSON.stringify({ type: 'update', documentId, update: 'é' })), { binary: true });
    const [message] = await other.receivedAll('update', 1);
    assert.deepEqual(message, { type: 'update', documentId, update: 'é', clientID: 'one', offset: 1 });
    assert.equal(binary, false);
  });

  test('a message for another document reaches nobody, is answered with an error, and the connection stays open', async () => {
    const { documentId, one, other } = await two();
    const elsewhere = uniqueId();
    const stranger = await at.server.connect(elsewhere);
    for (const [type, fields] of PUBLISHED) one.send({ type, documentId: elsewhere, ...fields });
    one.send({ type: 'sync', documentId: elsewhere });
    await one.synced(documentId);
    await other.synced(documentId);
    await stranger.synced(elsewhere);
    assert.deepEqual(
      one.all('error'),
      Array.from({ length: 5 }, () => refusal('WRONG_DOCUMENT')),
    );
    assert.equal(one.messages.length, 7);
    for (const client of [other, stranger]) {
      assert.deepEqual(
        client.messages.map((message) => message.type),
        ['connected', 'synced'],
      );
    }
  });

  test('an unknown type reaches nobody, is answered with an error, and the connection stays open', async () => {
    const { documentId, one, other } = await two();
    for (const type of ['', 'connected', 'synced', 'Update', 'error', 'constructor']) one.send({ type, documentId });
    await one.synced(documentId);
    await other.synced(documentId);
    assert.deepEqual(
      one.all('error'),
      Array.from({ length: 6 }, () => refusal('UNKNOWN_TYPE')),
    );
    assert.deepEqual(
      other.messages.map((message) => message.type),
      ['connected', 'synced'],
    );
  });

  const unreadable = [
    '',
    'no JSON',
    '{',
    '{"type":"sync"',
    'null',
    '1',
    '"text"',
    '[]',
    '[{"type":"sync"}]',
    '{}',
    '{"type":"sync"}',
    '{"type":7,"documentId":"x"}',
    '{"documentId":"x"}',
    '{"type":"sync","documentId":7}',
    '{"type":"sync"} x',
    `${'['.repeat(10_000)}`,
    '{"type":"sync","documentId":"x",}',
    '\ufeff{"type":"sync","documentId":"x"}',
  ];
  test('what is no object with type and documentId is answered with an error, and the connection stays open', async () => {
    const { documentId, one, other } = await two();
    for (const text of unreadable) one.socket.send(text);
    one.socket.send(Buffer.from([0xff, 0xfe, 0x00]), { binary: true });
    const errors = await one.receivedAll('error', unreadable.length + 1);
    for (const error of errors) assert.equal(error.message, 'Invalid message format');
    await one.synced(documentId);
    assert.equal(one.all('error').length, unreadable.length + 1);
    await other.synced(documentId);
    assert.equal(other.all('error').length, 0);
  });

  test('a message without its payload is answered with an error and reaches nobody', async () => {
    const { documentId, one, other } = await two();
    const partial = [
      { type: 'steps', steps: [] },
      { type: 'steps', version: 1 },
    ];
    for (const [type] of PUBLISHED) partial.push({ type });
    for (const message of partial) one.send({ documentId, ...message });
    for (const error of await one.receivedAll('error', partial.length)) {
      assert.equal(error.message, 'Invalid message format');
    }
    await one.synced(documentId);
    await other.synced(documentId);
    assert.deepEqual(
      other.messages.map((message) => message.type),
      ['connected', 'synced'],
    );
  });

  const missing = [
    '',
    '?',
    '?documentId=a',
    '?clientID=a',
    '?documentId=&clientID=a',
    '?documentId=a&clientID=',
    '?documentid=a&clientid=b',
  ];
  for (const query of missing) {
    test(`/ws/fabric${query} is closed with 1003 for want of parameters`, async () => {
      const client = at.server.open(`/ws/fabric${query}`);
      assert.deepEqual(await client.closing(), { code: 1003, reason: 'Missing documentId or clientID' });
      assert.deepEqual(client.texts, []);
    });
  }

  const long = 'a'.repeat(513);
  const refused = {
    'a documentId over 512 bytes': [`documentId=${long}&clientID=a`, 'documentId'],
    'a clientID over 512 bytes': [`documentId=a&clientID=${long}`, 'clientID'],
    'a documentId over 512 bytes in fewer characters': [
      `documentId=${encodeURIComponent('€'.repeat(171))}&clientID=a`,
      'documentId',
    ],
    'a documentId with NUL': ['documentId=a%00b&clientID=a', 'documentId'],
    'a documentId with a line feed': ['documentId=a%0Ab&clientID=a', 'documentId'],
    'a clientID with DEL': ['documentId=a&clientID=a%7F', 'clientID'],
    'a clientID with a C1 control': ['documentId=a&clientID=%C2%85', 'clientID'],
  };
  for (const [what, [query, name]] of Object.entries(refused)) {
    test(`${what} is closed with 1003`, async () => {
      const client = at.server.open(`/ws/fabric?${query}`);
      assert.deepEqual(await client.closing(), { code: 1003, reason: `Invalid ${name}` });
      assert.deepEqual(client.texts, []);
    });
  }

  test('ids of exactly 512 bytes are taken', async () => {
    const documentId = uniqueId().padEnd(512, 'd');
    const client = await at.server.connect(documentId, 'c'.repeat(512));
    assert.equal(client.messages[0].documentId, documentId);
    assert.equal(getConnectionCount(documentId), 1);
  });

  for (const path of [
    '/ws',
    '/ws/',
    '/ws/nothing',
    '/ws/fabric/',
    '/ws/Fabric',
    '/ws/fabric%2F',
    '/ws/é?documentId=a&clientID=b',
  ]) {
    test(`${path} has no handler: the handshake completes and 1003 follows`, async () => {
      const client = at.server.open(path);
      let opened = false;
      client.socket.on('open', () => (opened = true));
      const { code, reason } = await client.closing();
      assert.equal(code, 1003);
      assert.equal(reason, `No handler for ${new URL(`ws://host${path}`).pathname}`);
      assert.equal(opened, true);
    });
  }

  test('the reason for a very long path is cut to what a close frame holds', async () => {
    const client = at.server.open(`/ws/${'x'.repeat(2000)}`);
    const { code, reason } = await client.closing();
    assert.equal(code, 1003);
    assert.match(reason, /^No handler for \/ws\/x+$/);
    assert.equal(reason.length, 123);
  });

  test('an upgrade outside /ws that nobody else takes is refused with 404', async () => {
    for (const path of ['/', '/wsx', '/other/ws/fabric']) {
      const client = at.server.open(path);
      await client.closing();
      assert.match(client.failure.message, /404/);
    }
  });

  test('a plain upgrade by hand is answered within HTTP where it is refused', { skip: at.way === 'TLS' }, async () => {
    assert.match(await rawUpgrade(at.server.port, '/elsewhere'), /^HTTP\/1\.1 404 Not Found\r\n/);
  });
});
