// The example app in real Chromium: several windows, one text, through the hub.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe } from 'node:test';
import { ChaosProxy } from './support/chaos-proxy.mjs';
import { getJson, postJson, startExample } from './support/example.mjs';
import { WAIT_MS, exampleWindows } from './support/example-windows.mjs';
import { until } from './support/processes.mjs';

const example = exampleWindows({ env: { HUB_EXAMPLE_BLOCK: '1' } });
let documents = 0;

/** A document that no other test uses. */
function freshDocument() {
  documents += 1;
  return `browser-test-${documents}`;
}

/** One person's window: a browser context of its own, so nothing is shared with the others but the server. */
class Window {
  static async open(documentId, { name = 'Ada', url = example.url } = {}) {
    const page = await example.open(name);
    await page.addInitScript(
      (identity) => {
        sessionStorage.setItem('fabric-example:identity', JSON.stringify(identity));
      },
      { name, color: 'blue' },
    );
    const window = new Window(page);
    page.on('websocket', (socket) => window.#listen(socket));
    await page.goto(`${url}/?document=${encodeURIComponent(documentId)}`);
    await window.isLive();
    return window;
  }

  /** Messages this window has sent to the hub. */
  sent = [];
  /** Messages the hub has sent to this window. */
  heard = [];
  /** Its name towards the hub. */
  clientID = '';

  constructor(page) {
    this.page = page;
    this.editor = page.getByRole('textbox', { name: 'Document text' });
  }

  #listen(socket) {
    if (!socket.url().includes('/ws/fabric')) return;
    this.clientID = new URL(socket.url()).searchParams.get('clientID');
    socket.on('framesent', ({ payload }) => this.sent.push(JSON.parse(payload)));
    socket.on('framereceived', ({ payload }) => this.heard.push(JSON.parse(payload)));
  }

  /** Resolves once the window is connected, and up to date by all that it can know. */
  async isLive() {
    await this.page.locator('[data-phase="open"][data-synced="true"]').waitFor();
    await this.editor.waitFor();
  }

  /** Resolves once the hub has acknowledged everything that was typed here: it is on its disk. */
  async isStored() {
    const last = () => Math.max(0, ...this.sent.filter(({ type }) => type === 'update').map(({ id }) => id));
    const stored = () => Math.max(0, ...this.heard.filter(({ type }) => type === 'ack').map(({ upTo }) => upTo));
    await until('what was typed to be stored', () => last() > 0 && stored() >= last(), { timeoutMs: WAIT_MS });
  }

  /** Resolves once the window knows that its connection is gone. */
  isOffline() {
    return this.page.getByText('Offline', { exact: true }).waitFor();
  }

  /** The text as its user sees it, without the labels of other people's carets. */
  text() {
    return this.editor.evaluate((content) => {
      const copy = content.cloneNode(true);
      for (const other of copy.querySelectorAll('[data-remote-caret], .cm-placeholder')) other.remove();
      return [...copy.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\n');
    });
  }

  async type(text) {
    await this.editor.focus();
    await this.page.keyboard.type(text);
  }

  async typeAtStart(text) {
    await this.editor.focus();
    await this.page.keyboard.press('Control+Home');
    await this.page.keyboard.type(text);
  }

  sees(text) {
    return this.page.getByText(text).first().waitFor();
  }

  /** The label on somebody else's caret; the caret itself takes no room and would count as hidden. */
  caretOf(name) {
    return this.page.locator(`[data-remote-caret="${name}"] > span`);
  }

  arrivals() {
    return this.page.getByRole('list', { name: 'Steps that arrived' }).getByRole('listitem');
  }

  close() {
    return this.page.context().close();
  }
}

/** Waits until all windows show one and the same text and `isDone` of it holds; returns the text. */
async function converged(windows, isDone) {
  let texts = [];
  await until(
    'one text in all windows',
    async () => {
      texts = await Promise.all(windows.map((window) => window.text()));
      return texts.every((text) => text === texts[0]) && isDone(texts[0]);
    },
    { timeoutMs: WAIT_MS },
  ).catch((error) => {
    throw new Error(`${error.message}; they show ${JSON.stringify(texts)}`);
  });
  return texts[0];
}

/** True if the letters of `part` are all in `text`, in their order, with whatever in between. */
function holdsInOrder(text, part) {
  let at = 0;
  for (const letter of text) if (letter === part[at]) at += 1;
  return at === part.length;
}

/** For how long Node is kept busy at a time: many times as long as a word takes on a machine with other work. */
const BLOCK_MS = 2000;

const get = (path) => getJson(`${example.url}${path}`);
const post = (path, body) => postJson(`${example.url}${path}`, body);

async function countOf(documentId) {
  const { body } = await get(`/api/fabric/connections?documentId=${encodeURIComponent(documentId)}`);
  assert.equal(body.documentId, documentId);
  return body.count;
}

describe('windows on one document', { timeout: 240_000 }, () => {
  test('two windows that type at the same time end up with the same text, and lose nothing of either', async () => {
    const documentId = freshDocument();
    const [ada, noor] = await Promise.all([Window.open(documentId), Window.open(documentId, { name: 'Noor' })]);
    const first = 'the quick brown fox jumps over the lazy dog';
    const second = 'SPHINX OF BLACK QUARTZ JUDGE MY VOW';
    await Promise.all([ada.type(first), noor.type(second)]);

    const text = await converged([ada, noor], (each) => each.length === first.length + second.length);
    assert.ok(holdsInOrder(text, first), text);
    assert.ok(holdsInOrder(text, second), text);
  });

  for (const bytes of [300_000, 1_000_000, 4_000_000]) {
    test(`what is typed after a paste of ${bytes} bytes reaches everybody, also who comes later`, async () => {
      const documentId = freshDocument();
      const [ada, noor] = await Promise.all([Window.open(documentId), Window.open(documentId, { name: 'Noor' })]);
      await ada.type('begin ');
      await ada.editor.evaluate((content, count) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', `${'0123456789'.repeat(9)}abcdefghi\n`.repeat(count));
        content.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
      }, bytes / 100);
      await ada.typeAtStart('after ');
      const shows = (window, text) =>
        until(`${text} is seen`, async () => (await window.text()).includes(text), { timeoutMs: WAIT_MS });
      await shows(noor, 'after begin');
      await noor.typeAtStart('answer ');
      await shows(ada, 'answer after begin');
      const late = await Window.open(documentId, { name: 'Priya' });
      await shows(late, 'answer after begin');
    });
  }

  test('a window sees where the other one writes, with the name of who it is', async () => {
    const documentId = freshDocument();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await noor.type('here I am');

    await ada.caretOf('Noor').waitFor();
    assert.equal(await ada.caretOf('Noor').textContent(), 'Noor');
    assert.equal(await ada.caretOf('Ada').count(), 0, 'nobody sees a caret of their own');

    await noor.close();
    await ada.caretOf('Noor').waitFor({ state: 'detached' });
  });

  test('undo takes back what was typed in this window, not what others typed', async () => {
    const documentId = freshDocument();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await ada.type('kept ');
    await noor.sees('kept');
    // At once: keys with half a second between them are undone one by one.
    await noor.typeAtStart('');
    await noor.page.keyboard.insertText('gone ');
    await converged([ada, noor], (text) => text === 'gone kept ');
    await noor.page.keyboard.press('Control+z');
    await converged([ada, noor], (text) => text === 'kept ');
  });

  test('a window that joins later gets the text from the hub, and everybody in it', async () => {
    const documentId = freshDocument();
    const names = ['Ada', 'Noor', 'Kofi'];
    const early = [];
    for (const name of names) early.push(await Window.open(documentId, { name }));
    await early[0].type('written before anybody else came');
    await converged(early, (text) => text === 'written before anybody else came');

    const late = await Window.open(documentId, { name: 'Vera' });
    assert.equal(await late.text(), 'written before anybody else came');
    for (const name of names) await late.page.getByRole('listitem').getByText(name, { exact: true }).waitFor();

    const sent = early.flatMap((window) => window.sent.filter(({ type }) => type === 'update'));
    assert.ok(sent.length > 0 && sent.every(({ update }) => typeof update === 'string'));
    assert.deepEqual(
      late.sent.filter(({ awareness }) => awareness?.asks),
      [],
      'nobody was asked',
    );
  });

  test('a newcomer has the text where whoever wrote it stays silent, and where nobody is there any more', async () => {
    const documentId = freshDocument();
    const silent = await Window.open(documentId);
    await silent.type('still here');
    await silent.isStored();

    // A page that a debugger stops is as good as a closed laptop: connected, counted, and mute.
    const debug = await silent.page.context().newCDPSession(silent.page);
    await debug.send('Debugger.enable');
    await debug.send('Debugger.pause');
    const stopped = once(debug, 'Debugger.paused');
    const statement = debug.send('Runtime.evaluate', { expression: '0' }); // where it stops; ends when it goes on
    await stopped;
    try {
      const late = await Window.open(documentId, { name: 'Vera' });
      assert.equal(await late.text(), 'still here');
      await late.close();
    } finally {
      await debug.send('Debugger.resume');
      await statement;
    }
    await silent.close();
    await until('nobody to be there', async () => (await countOf(documentId)) === 0);
    const alone = await Window.open(documentId, { name: 'Kofi' });
    assert.equal(await alone.text(), 'still here');
  });

  test('windows of different documents have nothing of each other', async () => {
    const [one, two] = [await Window.open(freshDocument()), await Window.open(freshDocument())];
    await one.type('only here');
    await two.type('only there');
    assert.equal(await one.text(), 'only here');
    assert.equal(await two.text(), 'only there');
  });
});

describe('the server and its windows', { timeout: 240_000 }, () => {
  test('a step from a route handler reaches every window of the document', async () => {
    const documentId = freshDocument();
    const windows = [];
    for (const name of ['Ada', 'Noor', 'Kofi']) windows.push(await Window.open(documentId, { name }));
    const elsewhere = await Window.open(freshDocument());

    const steps = [{ stepType: 'note', text: 'A thought of the agent' }];
    const answer = await post('/api/fabric/broadcast', { documentId, steps, changeId: 'change-1' });
    assert.deepEqual(answer, { status: 200, body: { delivered: 3 } });
    for (const window of windows) await window.arrivals().getByText('A thought of the agent').waitFor();
    assert.equal(await elsewhere.arrivals().count(), 0);
  });

  test('a step for one client reaches that window alone', async () => {
    const documentId = freshDocument();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    const { clientID } = noor;
    const step = (text) => [{ stepType: 'note', text }];
    const broadcast = (body) => post('/api/fabric/broadcast', { documentId, ...body });

    const alone = await broadcast({ steps: step('for Noor'), changeId: 'change-1', clientID });
    assert.deepEqual(alone.body, { delivered: 1 });
    const nobody = await broadcast({ steps: step('for nobody'), changeId: 'change-2', clientID: 'nobody' });
    assert.deepEqual(nobody.body, { delivered: 0 });
    await broadcast({ steps: step('for all'), changeId: 'change-3' });

    await noor.arrivals().getByText('for Noor').waitFor();
    await ada.arrivals().getByText('for all').waitFor();
    assert.equal(await ada.arrivals().count(), 1, 'what came before the last one was not for this window');
  });

  test('the page sends a step by its button and says how many windows got it', async () => {
    const documentId = freshDocument();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await ada.page.getByLabel('What the agent says').fill('From the button');
    await ada.page.getByRole('button', { name: 'Send' }).click();
    await ada.sees('Delivered to 2 windows.');
    await noor.arrivals().getByText('From the button').waitFor();
  });

  test('counts are right as soon as a window is open, and again after it was closed', async () => {
    const documentId = freshDocument();
    assert.equal(await countOf(documentId), 0);
    const ada = await Window.open(documentId);
    assert.equal(await countOf(documentId), 1);
    const noor = await Window.open(documentId, { name: 'Noor' });
    assert.equal(await countOf(documentId), 2);

    const { body } = await get('/api/fabric/connections');
    assert.equal(body.documents[documentId], 2);
    assert.equal(
      body.fabric,
      Object.values(body.documents).reduce((sum, count) => sum + count, 0),
    );
    await ada.page.locator(`[data-count="${documentId}"]`).getByText('2', { exact: true }).waitFor();

    await noor.close();
    await until('a count of 1', async () => (await countOf(documentId)) === 1);
    await ada.close();
    await until('a count of 0', async () => (await countOf(documentId)) === 0);
  });

  test('text travels between windows while Node is kept busy', async () => {
    const documentId = freshDocument();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await ada.editor.focus();

    let blockedMs = 0;
    let isBlocking = true;
    const began = performance.now();
    const blocked = (async () => {
      while (isBlocking) blockedMs += (await get(`/api/block?ms=${BLOCK_MS}`)).body.blockedMs;
      return blockedMs / (performance.now() - began);
    })();
    const delays = [];
    try {
      for (let round = 0; round < 12; round += 1) {
        const word = `word${round};`;
        const seen = noor.page.evaluate(whenShown, word);
        const sentAt = await ada.page.evaluate(() => Date.now());
        await ada.page.keyboard.insertText(word);
        delays.push((await seen) - sentAt);
      }
    } finally {
      isBlocking = false;
      await blocked;
    }

    assert.ok((await blocked) > 0.5, `the share of the time that Node was busy: ${await blocked}`);
    // Through Node's event loop every word would wait for the end of a block, half of one in the middle.
    const median = delays.sort((a, b) => a - b)[Math.floor(delays.length / 2)];
    assert.ok(median < BLOCK_MS / 4, `milliseconds that a word took: ${delays}`);
  });

  for (const how of ['FIN', 'RST']) {
    test(`a window whose connection ends by ${how} gets what it missed and asks nobody`, async () => {
      const documentId = freshDocument();
      const proxy = await ChaosProxy.start(example.port);
      try {
        const ada = await Window.open(documentId, { url: `http://127.0.0.1:${proxy.port}` });
        const noor = await Window.open(documentId, { name: 'Noor' });
        await ada.type('before. ');
        await converged([ada, noor], (text) => text === 'before. ');
        const [heard, sent] = [ada.heard.length, ada.sent.length];

        // Pages go on being served; only the WebSocket finds nobody.
        const isOut = { now: true };
        proxy.plan = (target) => (target.startsWith('/ws/') && isOut.now ? { afterUp: 1, how } : {});
        proxy.linkOf(ada.clientID).cut(how);
        await ada.isOffline();
        await noor.typeAtStart('Noor, meanwhile. ');
        await ada.page.keyboard.press('Control+End');
        await ada.type('Ada, alone. ');
        isOut.now = false;

        await converged([ada, noor], (text) => text === 'Noor, meanwhile. before. Ada, alone. ');
        await ada.page.locator('[data-beginning="recovered"][data-synced="true"]').waitFor();
        const types = ada.heard.slice(heard).map(({ type }) => type);
        assert.ok(types.includes('recovered') && !types.includes('reload'), `${types}`);
        const asked = ada.sent.slice(sent).filter(({ type, awareness }) => type === 'awareness' && awareness.asks);
        assert.deepEqual(asked, [], 'there was nothing to ask');
        await ada.sees('Live');
      } finally {
        await proxy.close();
      }
    });
  }

  test('a text is there again after the process was killed and nobody had it open any more', async () => {
    const documentId = freshDocument();
    let server = await startExample();
    try {
      const ada = await Window.open(documentId, { url: server.url });
      await ada.type('kept over a kill');
      await ada.isStored();
      await server.stop('SIGKILL');
      await ada.close();
      server = await startExample({ data: server.data });
      const noor = await Window.open(documentId, { name: 'Noor', url: server.url });
      assert.equal(await noor.text(), 'kept over a kill');
    } finally {
      await server.stop();
    }
  });

  test('windows survive a restart of the server, and bring together what was typed meanwhile', async () => {
    const documentId = freshDocument();
    let server = await startExample();
    try {
      const ada = await Window.open(documentId, { url: server.url });
      const noor = await Window.open(documentId, { name: 'Noor', url: server.url });
      await ada.type('before. ');
      await converged([ada, noor], (text) => text === 'before. ');

      const ended = await server.stop('SIGTERM');
      assert.deepEqual(ended, { code: 0, signal: null });
      await Promise.all([ada.isOffline(), noor.isOffline()]);
      await ada.type('Ada, alone. ');
      await noor.typeAtStart('Noor, alone. ');
      assert.equal(await noor.text(), 'Noor, alone. before. ');

      server = await startExample({ data: server.data, env: { PORT: String(server.port) } });
      await Promise.all([ada.isLive(), noor.isLive()]);
      await converged([ada, noor], (text) => text === 'Noor, alone. before. Ada, alone. ');
      await ada.type('After.');
      await converged([ada, noor], (text) => text.endsWith('Ada, alone. After.'));
      await ada.caretOf('Noor').waitFor();
    } finally {
      await server.stop();
    }
  });
});

/** Runs in the page: the time at which the text came to show `word`. */
function whenShown(word) {
  const content = document.querySelector('.cm-content');
  return new Promise((resolve) => {
    const look = () => {
      if (!content.textContent.includes(word)) return;
      observer.disconnect();
      resolve(Date.now());
    };
    const observer = new MutationObserver(look);
    observer.observe(content, { childList: true, characterData: true, subtree: true });
    look();
  });
}
