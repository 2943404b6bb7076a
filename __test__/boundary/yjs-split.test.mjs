// Long updates of Y.js are cut into valid ones that say the same, and of which none has to wait for a later one.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import * as Y from 'yjs';
import { splitUpdate } from '../../js/yjs/split.mjs';
import { stream } from '../support/fault/seeded.mjs';
import { differenceOf } from '../support/yjs-stage.mjs';
import { edit } from '../support/yjs-world.mjs';

const SEED = Number(process.env.HUB_YJS_SEED ?? Date.now() % 1_000_000);
const anything = () => true;

/** The document that these updates make, of which none may have to wait for a later one unless it `mayWait`. */
function docOf(updates, mayWait = false) {
  const doc = new Y.Doc();
  for (const update of updates) {
    Y.applyUpdate(doc, update);
    assert.ok(mayWait || doc.store.pendingStructs === null, 'a part had to wait for a later one');
  }
  return doc;
}

function shuffled(values, random) {
  return values
    .map((value) => [random(), value])
    .sort(([a], [b]) => a - b)
    .map(([, value]) => value);
}

/** A document that some people have edited at the same time. */
function editedDoc(random) {
  const docs = Array.from({ length: 3 }, () => new Y.Doc());
  for (let round = 0; round < 20; round += 1) {
    for (const doc of docs) for (let count = 0; count < 5; count += 1) edit(doc, random);
    const [from, to] = shuffled(docs, random);
    Y.applyUpdate(to, Y.encodeStateAsUpdate(from));
  }
  return docOf(docs.map((doc) => Y.encodeStateAsUpdate(doc)));
}

describe('an update that is cut', () => {
  for (let run = 0; run < 8; run += 1) {
    const seed = SEED + run;
    test(`says the same one by one, and merged in any order, with seed ${seed}`, () => {
      const random = stream(seed, 'split');
      const doc = editedDoc(random);
      const update = Y.encodeStateAsUpdate(doc);
      for (const target of [64, 500, 4000]) {
        const { updates, removed } = splitUpdate(update, target, anything);
        assert.deepEqual(removed, []);
        assert.ok(updates.length > 1);
        const merged = Y.mergeUpdates(shuffled(updates, random));
        assert.equal(differenceOf([doc, docOf(updates), docOf([merged])]), null, `${target} bytes`);
      }
    });

    test(`may lack a beginning, with seed ${seed}`, () => {
      const random = stream(seed, 'lacking');
      const doc = editedDoc(random);
      const before = Y.encodeStateAsUpdate(doc);
      const vector = Y.encodeStateVector(doc);
      for (let count = 0; count < 50; count += 1) edit(doc, random);
      const { updates } = splitUpdate(Y.encodeStateAsUpdate(doc, vector), 300, anything);
      assert.equal(differenceOf([doc, docOf([before, ...updates]), docOf([...updates, before], true)]), null);
    });
  }

  test('keeps a gap in the history of a client', () => {
    const doc = new Y.Doc();
    const updates = [];
    doc.on('update', (update) => updates.push(update));
    for (let count = 0; count < 9; count += 1) doc.getText('text').insert(0, `${count}`.repeat(100));
    const gapped = Y.mergeUpdates(updates.filter((_, index) => index % 3 !== 1));
    const cut = splitUpdate(gapped, 150, anything).updates;
    assert.ok(cut.length > 2);
    assert.equal(differenceOf([doc, docOf([...cut, ...updates.filter((_, index) => index % 3 === 1)], true)]), null);
  });

  test('has no part over the measure, and no half of a character', () => {
    const doc = new Y.Doc();
    doc.getText('text').insert(0, '𝄞'.repeat(10_000));
    doc.getArray('array').insert(
      0,
      Array.from({ length: 5000 }, (_, index) => index),
    );
    const { updates } = splitUpdate(Y.encodeStateAsUpdate(doc), 1000, anything);
    for (const update of updates) assert.ok(update.length <= 1100, `${update.length}`);
    assert.equal(docOf(updates).getText('text').toString(), '𝄞'.repeat(10_000));
  });

  test('has its deletions in parts, too, where there are many', () => {
    const doc = new Y.Doc();
    const text = doc.getText('text');
    text.insert(0, 'x'.repeat(20_000));
    doc.transact(() => {
      for (let at = 0; at < 10_000; at += 1) text.delete(at, 1);
    });
    const update = Y.encodeStateAsUpdate(doc);
    const { updates } = splitUpdate(update, 2000, anything);
    for (const part of updates) assert.ok(part.length <= 2200, `${part.length}`);
    assert.equal(differenceOf([doc, docOf(updates)]), null);
  });

  test('that is short enough is left as it is', () => {
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'short');
    const update = Y.encodeStateAsUpdate(doc);
    assert.equal(splitUpdate(update, 1000, anything).updates[0], update);
  });
});
