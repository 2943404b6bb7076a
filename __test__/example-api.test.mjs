// What the example answers over HTTP.
import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import { ensureExampleBuilt, getJson, postJson, startExample } from './support/example.mjs';

let example;
before(
  async () => {
    await ensureExampleBuilt();
    example = await startExample({ env: { HUB_EXAMPLE_BLOCK: '1' } });
  },
  { timeout: 600_000 },
);
after(() => example?.stop());

const get = (path, url = example.url) => getJson(`${url}${path}`);
const post = (path, body) => postJson(`${example.url}${path}`, body);

describe('the API of the example', { timeout: 120_000 }, () => {
  const valid = { documentId: 'api', steps: [], changeId: 'change-1' };
  for (const [what, body] of Object.entries({
    'no JSON': '{',
    'JSON that is no object': '[]',
    'no document': { ...valid, documentId: undefined },
    'an empty document id': { ...valid, documentId: '' },
    'steps that are no list': { ...valid, steps: {} },
    'no change id': { ...valid, changeId: 7 },
    'a client id that is no text': { ...valid, clientID: 7 },
  })) {
    test(`a broadcast with ${what} is answered with 400 and a code`, async () => {
      const { status, body: answer } = await post('/api/fabric/broadcast', body);
      assert.equal(status, 400);
      assert.equal(answer.code, 'INVALID_BODY');
      assert.equal(typeof answer.error, 'string');
    });
  }

  test('a broadcast to a document that nobody has open is delivered to nobody', async () => {
    assert.deepEqual(await post('/api/fabric/broadcast', valid), { status: 200, body: { delivered: 0 } });
  });

  test('the process is live, and ready for clients', async () => {
    const { status, body } = await get('/api/live');
    assert.deepEqual([status, body.live], [200, true]);
    assert.deepEqual(await get('/api/ready'), { status: 200, body: { ready: true, reasons: [] } });
  });

  test('the admin page is for who gives a name and the password, and for nobody without one', async () => {
    assert.equal((await fetch(`${example.url}/admin/hub`)).status, 403);
    const server = await startExample({ env: { HUB_EXAMPLE_ADMIN_PASSWORD: 'a: b' } });
    try {
      const ask = (given) =>
        fetch(`${server.url}/admin/hub?data=overview`, {
          headers: given && { authorization: `Basic ${Buffer.from(given).toString('base64')}` },
        });
      for (const given of [undefined, 'Ada:wrong', ':a: b', 'Ada']) {
        const refused = await ask(given);
        assert.equal(refused.status, 401, given);
        assert.match(refused.headers.get('www-authenticate'), /^Basic /);
      }
      const { name, health } = await (await ask('Ada:a: b')).json();
      assert.deepEqual([name, health.ready], ['Ada', true]);
    } finally {
      await server.stop();
    }
  });

  test('Node can be kept busy for two seconds at most', async () => {
    assert.deepEqual(await get('/api/block?ms=0'), { status: 200, body: { blockedMs: 0 } });
    assert.deepEqual(await get('/api/block?ms=99999999'), { status: 200, body: { blockedMs: 2000 } });
    assert.equal((await get('/api/block?ms=soon')).status, 400);
  });

  test('Node cannot be kept busy unless the server was started for it', async () => {
    const server = await startExample();
    try {
      const { status, body } = await get('/api/block?ms=500', server.url);
      assert.equal(status, 404);
      assert.equal(body.code, 'NOT_FOUND');
    } finally {
      await server.stop();
    }
  });
});
