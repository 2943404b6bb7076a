// What route handlers await of a document whose app does not answer, when the hub ends.
import assert from 'node:assert/strict';
import test from 'node:test';
import { editDocument, getDocument, submitSteps } from '../../js/index.js';
import { HubServer } from '../support/hub-server.mjs';
import { apply, word } from '../support/text-documents.mjs';

test('whoever waits for a document that the app does not load is refused when the hub ends', async () => {
  let asked;
  const isAsked = new Promise((resolve) => (asked = resolve));
  const load = () => {
    asked();
    return new Promise(() => {});
  };
  const server = await HubServer.start({ documents: { kind: 'steps', store: false, load, save: () => {}, apply } });
  const waiting = [
    getDocument('read'),
    submitSteps('written', { version: 0, steps: [word('one')] }),
    editDocument('edited', () => [word('one')]),
  ];
  const settled = Promise.allSettled(waiting);
  await isAsked;
  await server.close();
  const outcomes = await settled;
  assert.deepEqual(
    outcomes.map(({ status, reason }) => [status, reason?.code]),
    [
      ['rejected', 'HUB_UNAVAILABLE'],
      ['rejected', 'HUB_UNAVAILABLE'],
      ['rejected', 'HUB_UNAVAILABLE'],
    ],
  );
});
