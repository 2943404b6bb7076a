// Seconds of broken connections, and whether anybody was told a lie; `npm run fault` goes on for minutes.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { expectedOf, judgeEpisode, judgeSent, publishedIn } from './support/fault/judge.mjs';
import { Log } from './support/fault/log.mjs';
import { planOf } from './support/fault/seeded.mjs';
import { ROOT } from './support/hub-server.mjs';
import { childEnvironment, progress, run } from './support/processes.mjs';

const SECONDS = 20;

/** Over several processes; every fault comes once. */
const MINUTES_OVER_REDIS = Number(process.env.FAULT_MINUTES ?? 0.5);

/** Kinds of documents, beside relays, over several processes. */
const KINDS = process.env.FAULT_KINDS ?? 'steps,updates';

/** The same in every run; another is tried by `npm run fault`. */
const SEED = process.env.FAULT_SEED ?? '2026';

/** Runs it in a process of its own, which fails with what it found. */
async function faults(args) {
  const all = ['scripts/fault.mjs', '--seed', SEED, ...args];
  const timeoutMs = 300_000 + MINUTES_OVER_REDIS * 60_000;
  const output = await run('the fault test', process.execPath, all, { cwd: ROOT, env: childEnvironment(), timeoutMs });
  const found = JSON.parse(output.slice(output.indexOf('\n{'), output.indexOf('\n}') + 2));
  progress(`fault test: ${JSON.stringify(found)}`);
  return found;
}

test(
  '200 clients whose connections break get what was published, or are told to reload',
  { timeout: 300_000 },
  async () => {
    const found = await faults(['--minutes', String(SECONDS / 60), '--restarts', '1']);
    // That much must have happened, or nothing was shown.
    assert.deepEqual([found.clients, found.documents], [200, 20]);
    for (const how of ['FIN', 'RST', 'silence']) assert.ok(found.cuts[how] > 20, how);
    assert.ok(found.recovered > 50, `${found.recovered} recoveries`);
    assert.ok(found.reloads.OTHER_EPOCH > 100, 'everybody has to reload after the restart');
    assert.ok(found.fromRouteHandlers.toAll > 50 && found.fromRouteHandlers.toOne > 50);
    assert.ok(found.fromClients.acknowledged > 500 && found.delivered > 5000);
  },
);

test(
  'clients of three processes get what was published whatever becomes of Redis, or are told to reload',
  { timeout: 300_000 + MINUTES_OVER_REDIS * 60_000 },
  async () => {
    const args = ['--minutes', String(MINUTES_OVER_REDIS), '--processes', '3', '--kinds', KINDS];
    if (process.env.HUB_TEST_REDIS) args.push('--server', process.env.HUB_TEST_REDIS);
    const found = await faults(args);
    assert.deepEqual([found.clients, found.documents, found.processes], [200, 20, 3]);
    for (const [what, count] of Object.entries(found.faults)) assert.ok(count > 0, what);
    assert.ok(found.recovered > 50, `${found.recovered} recoveries`);
    assert.ok(found.redis.branches > 0 && found.redis.begunAnew > 0, 'Redis has lost a tail, and everything');
    assert.ok(found.fromClients.acknowledged > 500 && found.delivered > 5000);
  },
);

test('the same seed breaks the same connections at the same bytes', () => {
  const plans = (seed) => Array.from({ length: 200 }, (_, number) => planOf(seed, `client-${number % 9}`, number));
  assert.deepEqual(plans('7'), plans('7'));
  assert.notDeepEqual(plans('7'), plans('8'));
});

describe('the judge', () => {
  const seen = [
    { offset: 1, label: 'a/0/1' },
    { offset: 2, label: 'b/0/1' },
    { offset: 4, label: 'a/0/2' },
  ];
  const published = publishedIn({ start: 0, seen }, [{ label: 'agent/0/1', to: 'b' }], assert.fail);

  /** A log of a client that began at `start` and got what is named. */
  function logOf(clientID, start, ...labels) {
    const log = new Log(clientID);
    log.began({ epoch: 'e', offset: start });
    for (const label of labels) log.episode.entries.push(published.find((each) => each.label === label));
    return log;
  }

  /** What is found wrong with it. */
  function found(log, { isLast = true } = {}) {
    judgeEpisode(log, log.episode, published, isLast);
    return log.wrongs;
  }

  test('knows what was for one client by the offset that nobody else saw', () => {
    assert.deepEqual(published[2], { offset: 3, label: 'agent/0/1', to: 'b' });
    assert.deepEqual(
      expectedOf('b', { start: 0, session: 0 }, published).map(({ offset }) => offset),
      [1, 3, 4],
    );
  });

  test('has nothing against a client that got all of it, or all of it up to a reload', () => {
    assert.deepEqual(found(logOf('b', 0, 'a/0/1', 'agent/0/1', 'a/0/2')), []);
    assert.deepEqual(found(logOf('b', 1, 'agent/0/1', 'a/0/2')), []);
    assert.deepEqual(found(logOf('b', 0, 'a/0/1'), { isLast: false }), []);
    assert.deepEqual(found(logOf('c', 0, 'a/0/1', 'b/0/1', 'a/0/2')), []);
  });

  for (const [what, labels] of Object.entries({
    'lacks the first': ['agent/0/1', 'a/0/2'],
    'lacks one in the middle': ['a/0/1', 'a/0/2'],
    'lacks the last': ['a/0/1', 'agent/0/1'],
    'got one twice': ['a/0/1', 'agent/0/1', 'agent/0/1', 'a/0/2'],
    'got two the wrong way round': ['agent/0/1', 'a/0/1', 'a/0/2'],
    'got its own': ['a/0/1', 'b/0/1', 'agent/0/1', 'a/0/2'],
  })) {
    test(`finds a client that ${what}`, () => assert.equal(found(logOf('b', 0, ...labels)).length, 1));
  }

  test('finds a client that got what was for another', () => {
    assert.equal(found(logOf('c', 0, 'a/0/1', 'b/0/1', 'agent/0/1', 'a/0/2')).length, 1);
  });

  test('finds a hole before a reload', () => {
    assert.equal(found(logOf('b', 0, 'a/0/1', 'a/0/2'), { isLast: false }).length, 1);
  });

  test('finds an offset that nothing has', () => {
    const wrongs = [];
    publishedIn({ start: 0, seen: [{ offset: 2, label: 'a/0/1' }] }, [], (what) => wrongs.push(what));
    assert.ok(wrongs.length > 0);
  });

  /** What is found wrong with three messages that have these fates, when these were published. */
  function sent(fates, ...numbers) {
    const log = new Log('a');
    for (const fate of fates) log.fates.set(log.label(), fate);
    judgeSent(
      log,
      numbers.map((number) => ({ label: `a/0/${number}` })),
    );
    return log.wrongs.length;
  }

  test('finds what was published more or less often than a client was told, and what was out of order', () => {
    const good = ['acknowledged', 'unpublished', 'unknown'];
    assert.equal(sent(good, 1), 0);
    assert.equal(sent(good, 1, 3), 0);
    assert.equal(sent(good, 3), 1, 'acknowledged and not published');
    assert.equal(sent(good, 1, 2), 1, 'published and said to be not');
    assert.ok(sent(good, 1, 3, 3) > 0, 'twice');
    assert.equal(sent(['acknowledged', 'acknowledged', 'sent'], 2, 1), 2, 'out of order, and one without a fate');
  });
});
