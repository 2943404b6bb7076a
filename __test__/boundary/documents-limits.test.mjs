// What bounds documents with an authority: how fast they grow by one user, how large they become, and that a large one gets
// through to a client that reads slowly.
import assert from 'node:assert/strict';
import test from 'node:test';
import { submitSteps } from '../../js/index.js';
import { as, headerSession } from '../support/admission.mjs';
import { HubServer, uniqueId } from '../support/hub-server.mjs';
import { TEXT, fabricTarget, frame } from '../support/raw-client.mjs';
import { apply, word } from '../support/text-documents.mjs';

async function withDocuments(documents, options, run) {
  const server = await HubServer.start({ documents: { kind: 'steps', store: false, ...documents }, ...options });
  try {
    await run(server);
  } finally {
    await server.close();
  }
}

const words = (count) => Array.from({ length: count }, (_, index) => word(`${index}`));

test('steps of one user over the rate are taken, and the next ones wait; another user goes on', async () => {
  const limits = { userStepsPerSecond: 20, userStepBurst: 30, patienceMs: 60_000 };
  await withDocuments({}, { limits, session: headerSession }, async (server) => {
    const documentId = uniqueId();
    const come = async (id) => {
      const client = await server.open(fabricTarget(documentId, uniqueId()), { headers: as({ id }) });
      await client.received(({ type }) => type === 'connected');
      return client;
    };
    const [anna, again, berta] = [await come('anna'), await come('anna'), await come('berta')];
    anna.send({ type: 'steps', version: 0, steps: words(25) });
    await again.receivedAll('steps', 1);
    // The other connection of the same user, whose own messages are few.
    again.send({ type: 'steps', version: 25, steps: words(25) });
    const told = await again.received(({ code }) => code === 'RATE_LIMITED');
    assert.ok(told.retryInMs > 0 && told.retryInMs <= 1000, JSON.stringify(told));
    await berta.receivedAll('steps', 2);
    berta.send({ type: 'steps', version: 50, steps: words(20) });
    await berta.receivedAll('steps', 3);
    again.send({ type: 'steps', version: 70, steps: words(1) });
    const [, , , last] = await berta.receivedAll('steps', 4);
    assert.equal(last.version, 70);
    assert.ok(!berta.messages.some(({ code }) => code === 'RATE_LIMITED'));
  });
});

test('a document as large as it may be takes what removes something, and nothing that inserts', async () => {
  const large = { words: ['x'.repeat(2000)] };
  const load = () => ({ doc: large, version: 7 });
  const removing = (doc, steps) => (steps[0].stepType === 'replace' ? { words: [] } : apply(doc, steps));
  const documents = { load, apply: removing, maxDocumentBytes: 1500, saveAfterMs: 20 };
  await withDocuments(documents, {}, async (server) => {
    const documentId = uniqueId();
    const client = await server.open(fabricTarget(documentId, uniqueId()));
    await client.received(({ type }) => type === 'connected');
    client.send({ type: 'steps', version: 7, steps: [word('more')] });
    assert.equal((await client.received(({ type }) => type === 'error')).code, 'DOCUMENT_TOO_LARGE');
    await assert.rejects(submitSteps(documentId, { version: 7, steps: [word('more')] }), {
      code: 'HUB_DOCUMENT_TOO_LARGE',
    });
    client.send({ type: 'steps', version: 7, steps: [{ stepType: 'replace', from: 0, to: 2000 }] });
    await client.receivedAll('steps', 1);
    // It takes more once the app has made the smaller document.
    for (let taken = false; !taken;) {
      taken = await submitSteps(documentId, { version: 8, steps: [word('short')] }).then(
        () => true,
        (error) => {
          assert.equal(error.code, 'HUB_DOCUMENT_TOO_LARGE');
          return new Promise((resolve) => setTimeout(resolve, 10, false));
        },
      );
    }
  });
});

test('a document larger than what may wait reaches a client that reads slowly, while others write', async () => {
  const large = { words: ['x'.repeat(12_000_000)] };
  const documents = { load: () => ({ doc: large, version: 0 }), apply };
  await withDocuments(documents, { maxOutboxBytes: 64 * 1024 }, async (server) => {
    const documentId = uniqueId();
    const writer = await server.open(fabricTarget(documentId, 'writer'));
    await writer.received(({ type }) => type === 'connected');
    const slow = await server.raw();
    await slow.open(documentId, 'slow');
    slow.socket.once('data', () => slow.socket.pause());
    slow.write(frame(TEXT, JSON.stringify({ type: 'sync' })));
    const types = [JSON.parse((await slow.frame()).payload).type];
    for (let version = 0; version < 10; version += 1) {
      writer.send({ type: 'steps', version, steps: [word('y'.repeat(1000))] });
      await writer.receivedAll('steps', version + 1);
    }
    slow.socket.resume();
    while (types.filter((type) => type === 'steps').length < 10) {
      const { opcode, payload } = await slow.frame();
      assert.equal(opcode, TEXT);
      types.push(JSON.parse(payload).type);
    }
    assert.deepEqual(types.slice(0, 2), ['synced', 'sync']);
  });
});
