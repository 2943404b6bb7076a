// What the judge of the fault test finds wrong with a document that has an authority.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { App } from './support/fault/app.mjs';
import { REPLACED } from './support/fault/labels.mjs';
import { Log } from './support/fault/log.mjs';
import { StepsBranches } from './support/fault/steps-branches.mjs';
import { UpdatesBranches } from './support/fault/updates-branches.mjs';

const LOSSES = { memories: 1, tails: 1 };

/** What Redis was told: entries one behind the other, where they do not say otherwise. */
function tree(entries, epoch = 'e') {
  const all = entries.map((entry, index) => ({ offset: index + 1, previous: index, toAll: true, ...entry }));
  const byOffset = new Map(all.map((entry) => [entry.offset, entry]));
  const inner = new Set(all.map(({ previous }) => previous));
  return {
    epoch,
    entries: byOffset,
    tips: all.map(({ offset }) => offset).filter((offset) => !inner.has(offset)),
    pathTo(offset) {
      const entry = byOffset.get(offset);
      return entry ? [...this.pathTo(entry.previous), entry] : [];
    },
  };
}

/** Steps for a version, each made for the one before it. */
function batch(version, labels, after, more = {}) {
  const afters = labels.map((_, index) => (index === 0 ? after : labels[index - 1]));
  return { label: labels.join(' '), labels, afters, version, ...more };
}

const GOOD = [batch(0, ['a/0/1', 'a/0/2']), batch(2, ['b/0/1'], 'a/0/2')];
const ALL = ['a/0/1', 'a/0/2', 'b/0/1'];

/** What is found wrong with a document of which Redis was told this; everybody has `labels`, and the app was given `saves`. */
async function found(about) {
  const { trees = [tree(GOOD)], top = trees.at(-1).entries.size, labels = ALL, version = labels.length } = about;
  const { saves = [[0, version, labels]], acknowledged = [], givenUp = 0, clientHas = labels, wasSent = true } = about;
  const wrongs = [];
  const wrong = (what) => wrongs.push(what);
  const app = new App('seed');
  const content = (all) => ({ content: all.map((label) => ({ attrs: { label } })) });
  for (const [previousVersion, at, all] of saves) {
    await app.save({ documentId: 'doc', doc: content(all), version: at, previousVersion }).catch(() => {});
  }
  const log = new Log('a');
  log.began({ epoch: 'e', offset: 0 });
  if (wasSent) log.episode.entries.push({ ...GOOD[1], offset: 2 });
  for (const label of acknowledged) log.fates.set(label, 'acknowledged');
  const branches = new StepsBranches('doc', trees, { epoch: trees.at(-1).epoch, offset: top });
  branches.check(wrong, {
    members: [{ clientID: 'a', log, document: { version, labels: clientHas } }],
    documents: [{ version, labels }],
    losses: LOSSES,
    lost: [],
    app,
    givenUp,
  });
  branches.judgeSent(log);
  return [...wrongs, ...log.wrongs];
}

describe('the judge of a document with an authority', () => {
  test('has nothing against one order that everybody has and the app was given bit by bit', async () => {
    const saves = [
      [0, 2, ALL.slice(0, 2)],
      // Its answer was lost.
      [0, 2, ALL.slice(0, 2)],
      [2, 3, ALL],
    ];
    assert.deepEqual(await found({ acknowledged: ['a/0/1', 'a/0/2'], saves }), []);
  });

  for (const [what, about] of Object.entries({
    'steps for another version': { trees: [tree([GOOD[0], batch(3, ['b/0/1'], 'a/0/2')])] },
    'steps that stand behind others than they were made for': {
      trees: [tree([GOOD[0], batch(2, ['b/0/1'], 'a/0/1')])],
    },
    'a client that has another text': { clientHas: ['a/0/1', 'b/0/1', 'a/0/2'] },
    'a text that is not what the log says': { labels: ['a/0/1', 'a/0/2', 'c/0/1'] },
    'what is acknowledged and gone': { acknowledged: ['a/0/3'] },
    'what is not saved in the end': { saves: [[0, 2, ALL.slice(0, 2)]] },
    'two savers of one version with two texts': { saves: [[0, 3, ['a/0/1', 'a/0/2', 'c/0/1']], [0, 3, ALL]] }, // prettier-ignore
    'a save that goes back': { saves: [[0, 3, ALL], [3, 2, ALL.slice(0, 2)], [2, 3, ALL]] }, // prettier-ignore
  })) {
    test(`finds ${what}`, async () => assert.ok((await found(about)).length > 0));
  }

  test('finds a step that stands twice', async () => {
    const twice = [...GOOD, batch(3, ['a/0/1'], 'b/0/1')];
    assert.ok((await found({ trees: [tree(twice)], labels: [...ALL, 'a/0/1'] })).length > 0);
  });

  /** Redis lost the last batch, and somebody wrote another in its place. */
  const lost = {
    trees: [tree([...GOOD, batch(2, ['c/0/1'], 'a/0/2', { offset: 9, previous: 1 })])],
    top: 9,
    labels: ['a/0/1', 'a/0/2', 'c/0/1'],
    acknowledged: ['b/0/1'],
  };

  test('lets go what Redis lost where a process said so, and only there', async () => {
    assert.deepEqual(await found({ ...lost, givenUp: 1 }), []);
    assert.deepEqual(await found(lost), ['a: b/0/1 is acknowledged, and is gone']);
    assert.deepEqual(await found({ ...lost, wasSent: false }), [], 'nobody had been sent it');
  });

  test('has nothing against a document that was put back whole into a Redis that had lost it', async () => {
    const replaced = { label: REPLACED, version: 2, labels: ALL.slice(0, 2) };
    const again = tree([replaced, batch(2, ['b/0/1'], 'a/0/2')], 'f');
    assert.deepEqual(await found({ trees: [tree(GOOD), again], acknowledged: ALL }), []);
    const fromSteps = await found({
      trees: [tree(GOOD), tree([{ ...replaced, version: 0, labels: [] }, ...GOOD], 'f')],
    });
    assert.deepEqual(fromSteps, [], 'that has no snapshot yet');
    const empty = tree([batch(0, ['c/0/1'])], 'f');
    const labels = ['c/0/1'];
    assert.ok(
      (await found({ trees: [tree(GOOD), empty], givenUp: 1, labels })).length > 0,
      'that began as an empty one',
    );
    const wrong = tree([replaced, batch(2, ['b/0/1'], 'a/0/1')], 'f');
    assert.ok((await found({ trees: [tree(GOOD), wrong] })).length > 0);
  });
});

describe('the judge of a document that keeps its updates', () => {
  /** What is found wrong where the app was given these states, one behind the other. */
  async function wrongs(...states) {
    const app = new App('seed');
    for (const state of states) await app.save({ documentId: 'doc', state, offset: state.length, previousOffset: 0 });
    const path = [{ label: 'a/0/1' }, { label: 'b/0/1' }];
    const found = [];
    const branches = new UpdatesBranches('doc', [tree(path)], { epoch: 'e', offset: 2 });
    const documents = [{ labels: ['b/0/1', 'a/0/1'] }];
    branches.check((what) => found.push(what), { members: [], documents, losses: LOSSES, lost: [], app, givenUp: 0 });
    return found.length;
  }

  test('finds what the app lacks in the end, and what it was once given and then not', async () => {
    assert.equal(await wrongs(['a/0/1'], ['a/0/1', 'b/0/1']), 0);
    assert.equal(await wrongs(['a/0/1']), 1);
    assert.equal(await wrongs(['a/0/1', 'b/0/1'], ['a/0/1'], ['a/0/1', 'b/0/1']), 1);
  });
});
