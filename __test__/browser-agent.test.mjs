// The example's agent page in real Chromium: an answer that is written, stopped, and reloaded in the middle.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { startExample } from './support/example.mjs';
import { WAIT_MS, exampleWindows } from './support/example-windows.mjs';
import { until } from './support/processes.mjs';

/** The last words of the mock model, and words from its middle. */
const END = /on to the end, which is here\.$/;
const MIDDLE = /belongs to this thread/;

const example = exampleWindows();
let threads = 0;

/** A thread that no other test uses. */
function freshThread() {
  threads += 1;
  return `browser-${process.pid}-${threads}`;
}

/** A window on a thread, in a browser context of its own. */
class Window {
  static async open(threadId, { url = example.url } = {}) {
    const page = await example.open(threadId);
    const window = new Window(page);
    page.on('websocket', (socket) => window.#listen(socket));
    await page.goto(`${url}/agent?thread=${threadId}`);
    await page.locator('[data-status]').waitFor();
    return window;
  }

  /** Frames of chunks that have come, over all connections. */
  chunks = [];
  sent = [];

  constructor(page) {
    this.page = page;
    this.answers = page.getByRole('listitem', { name: 'Answer' });
  }

  #listen(socket) {
    if (!socket.url().includes('/ws/agent')) return;
    socket.on('framesent', ({ payload }) => this.sent.push(JSON.parse(payload)));
    socket.on('framereceived', ({ payload }) => {
      const message = JSON.parse(payload);
      if (message.type === 'chunk') this.chunks.push(message);
    });
  }

  is(status) {
    return this.page.locator(`[data-status="${status}"]`).waitFor();
  }

  async ask(text) {
    await this.page.getByRole('textbox', { name: 'Question' }).fill(text);
    await this.page.getByRole('button', { name: 'Ask' }).click();
  }

  stop() {
    return this.page.getByRole('button', { name: 'Stop' }).click();
  }

  async answer() {
    const count = await this.answers.count();
    if (count === 0) return '';
    return (
      await this.answers
        .nth(count - 1)
        .locator('p')
        .allTextContents()
    ).join('\n\n');
  }

  async reads(pattern) {
    let text = '';
    const what = () => `${pattern} in ${JSON.stringify(text)}`;
    await until(what, async () => pattern.test((text = await this.answer())), { timeoutMs: WAIT_MS });
    return text;
  }
}

describe('the agent page', { timeout: 240_000 }, () => {
  test('an answer is written bit by bit, in fewer frames than words', async () => {
    const window = await Window.open(freshThread());
    await window.ask('Who are you?');
    await window.is('streaming');
    const early = await window.reads(/mock model/);
    assert.doesNotMatch(early, END);
    const whole = await window.reads(END);
    await window.is('ready');
    assert.match(whole, /^You asked: “Who are you\?”/);
    assert.ok(whole.startsWith(early));
    assert.equal(await window.page.getByRole('button', { name: 'Stop' }).count(), 0);
  });

  test('Stop keeps what is there, and ends it on the server', async () => {
    const window = await Window.open(freshThread());
    await window.ask('Go on');
    await window.reads(MIDDLE);
    await window.stop();
    await window.is('ready');
    await until('the abort to be sent', () => window.sent.some(({ type }) => type === 'abort'));
    const stopped = await window.answers.first().innerText();
    assert.match(stopped, MIDDLE);
    assert.doesNotMatch(stopped, END);

    await window.ask('And now?');
    const whole = await window.reads(END);
    assert.match(whole, /^You asked: “And now\?”/);
    assert.equal(await window.answers.first().innerText(), stopped);
  });

  test('a reload in the middle loses nothing and doubles nothing', async () => {
    const window = await Window.open(freshThread());
    await window.ask('Shall I reload?');
    const before = await window.reads(MIDDLE);
    await window.page.reload();
    await window.is('streaming');
    const whole = await window.reads(END);
    await window.is('ready');
    assert.ok(whole.startsWith(before));
    assert.equal(await window.answers.count(), 1);
    const [asked] = window.sent.filter(({ type }) => type === 'stream');
    const text = (id) => {
      const bySeq = new Map(
        window.chunks.filter(({ streamId }) => streamId === id).map((each) => [each.seq, each.chunk]),
      );
      return [...bySeq.values()].map(({ delta }) => delta ?? '').join('');
    };
    assert.equal(whole, text(asked.streamId), 'the text on the page is the one that was sent');
  });

  test('an answer that ends during the reload is there when the page is back', async () => {
    const window = await Window.open(freshThread());
    await window.ask('What if I am slow?');
    await window.reads(MIDDLE);
    const watcher = await Window.open(new URL(window.page.url()).searchParams.get('thread'));
    await window.page.goto('about:blank');
    await watcher.reads(END);
    await watcher.is('ready');
    await window.page.goBack();
    await window.reads(END);
    await window.is('ready');
    assert.equal(await window.answers.count(), 1);
  });

  test('an answer that was resumed after a reload can be stopped', async () => {
    const window = await Window.open(freshThread());
    await window.ask('Stop me later');
    await window.reads(/mock model/);
    await window.page.reload();
    await window.is('streaming');
    await window.stop();
    await window.is('ready');
    await until('the abort to be sent', () => window.sent.some(({ type }) => type === 'abort'));
    assert.doesNotMatch(await window.answer(), END);
  });

  test('another window on the thread reads along from the beginning, and sees it stopped', async () => {
    const threadId = freshThread();
    const first = await Window.open(threadId);
    await first.ask('Who reads along?');
    await first.reads(MIDDLE);
    const second = await Window.open(threadId);
    await second.reads(MIDDLE);
    await first.stop();
    await second.is('ready');
    assert.doesNotMatch(await second.answer(), END);
  });

  test('a conversation is still there after a reload, and no answer is asked for again', async () => {
    const window = await Window.open(freshThread());
    await window.ask('Remember me');
    await window.reads(END);
    await window.is('ready');
    const sent = window.sent.length;
    await window.page.reload();
    await window.is('ready');
    await window.reads(END);
    assert.equal(await window.answers.count(), 1);
    assert.deepEqual(window.sent.slice(sent), []);
  });

  test('a restart of the server in the middle of an answer is told, and the next question is answered', async () => {
    const own = await startExample();
    const window = await Window.open(freshThread(), { url: own.url });
    await window.ask('Are you still there?');
    await window.reads(/mock model/);
    await own.stop();
    const again = await startExample({ env: { PORT: String(own.port) } });
    try {
      await window.page.getByRole('main').getByRole('alert').waitFor();
      await window.ask('And now?');
      await window.reads(END);
    } finally {
      await again.stop();
    }
  });
});
