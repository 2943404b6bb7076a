// How often the admin page asks, by a clock that the test moves.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Out, Pull } from '../../js/admin/page/pull.mjs';

/** What a page has that Node has not. */
class Page extends EventTarget {
  hidden = false;
  now = 0;
  asked = 0;
  heard = [];
  answer = async () => 'answer';

  constructor(t) {
    super();
    t.mock.timers.enable({ apis: ['setTimeout'] });
    t.mock.method(performance, 'now', () => this.now);
    t.mock.method(Math, 'random', () => 0.5);
    this.signs = new Map();
    t.after(() => {
      delete globalThis.document;
      delete globalThis.addEventListener;
    });
    globalThis.document = this;
    globalThis.addEventListener = (sign, listener) => this.signs.set(sign, listener);
    this.move = async (ms) => {
      for (let passed = 0; passed < ms; passed += 500) {
        this.now += 500;
        t.mock.timers.tick(500);
        await settled();
      }
    };
    this.pull = new Pull(
      (signal) => {
        this.asked += 1;
        return this.answer(signal);
      },
      (answer, fault) => this.heard.push(fault ?? answer),
    );
  }

  /** How often it asks in a time. */
  async during(ms) {
    const before = this.asked;
    await this.move(ms);
    return this.asked - before;
  }

  async look(isHidden) {
    this.hidden = isHidden;
    this.dispatchEvent(new Event('visibilitychange'));
    await settled();
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('every two seconds while somebody is there, then every five and every fifteen, and again at a sign of them', async (t) => {
  const page = new Page(t);
  page.pull.now();
  await settled();
  assert.equal(await page.during(20_000), 10);
  await page.move(40_000);
  assert.equal(await page.during(60_000), 12);
  await page.move(180_000);
  assert.equal(await page.during(60_000), 4);
  page.signs.get('pointermove')();
  await settled();
  assert.equal(await page.during(20_000), 10);
});

test('a server that takes its time is asked as much less often, once at a time', async (t) => {
  const page = new Page(t);
  let underWay = 0;
  page.answer = async () => {
    underWay += 1;
    assert.equal(underWay, 1);
    page.now += 2000;
    underWay -= 1;
  };
  page.pull.now();
  await settled();
  // Two seconds of each ten are the server's.
  assert.equal(await page.during(32_000), 4);
});

test('not at all while the page is hidden or paused, and at once when it is seen or goes on', async (t) => {
  const page = new Page(t);
  page.pull.now();
  await settled();
  for (const [stop, start] of [
    [() => page.look(true), () => page.look(false)],
    [() => page.pull.pause(true), () => page.pull.pause(false)],
  ]) {
    await stop();
    assert.equal(await page.during(60_000), 0);
    const before = page.asked;
    await start();
    await settled();
    assert.equal(page.asked, before + 1);
  }
  await page.pull.pause(true);
  page.pull.now();
  await settled();
  assert.equal(page.pull.state, 'paused', 'what is asked for by hand is answered, and no more');
  assert.equal(await page.during(10_000), 0);
});

test('a server that is away is asked ever more rarely, and is live with its first answer', async (t) => {
  const page = new Page(t);
  page.answer = async () => {
    throw new Error('gone');
  };
  page.pull.now();
  await settled();
  assert.equal(page.pull.state, 'away');
  // After 2, 4, 8, 16 and from then on 30 seconds.
  assert.equal(await page.during(31_000), 4);
  assert.equal(await page.during(60_000), 2);
  page.answer = async () => 'back';
  await page.move(31_000);
  assert.equal(page.pull.state, 'live');
  assert.equal(page.heard.at(-1), 'back');
});

test('who is told to be out asks no more, whatever is pressed', async (t) => {
  const page = new Page(t);
  page.answer = async () => {
    throw new Out('signed out');
  };
  page.pull.now();
  await settled();
  assert.equal(page.pull.state, 'out');
  page.pull.now();
  page.pull.pause(false);
  await page.look(true);
  await page.look(false);
  assert.equal(await page.during(60_000), 0);
  assert.equal(page.heard.at(-1).message, 'signed out');
});

test('something newer gives up what is under way, whose answer is not heard', async (t) => {
  const page = new Page(t);
  const given = [];
  page.answer = (signal) =>
    new Promise((resolve, reject) => {
      given.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  page.pull.now();
  page.pull.now();
  await settled();
  assert.equal(page.asked, 2);
  given[1]('newer');
  await settled();
  assert.deepEqual(page.heard, ['newer']);
});
