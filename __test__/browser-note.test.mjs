// The note page of the example in real Chromium: people and an agent in one ProseMirror document, which stays.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { describe } from 'node:test';
import { ChaosProxy } from './support/chaos-proxy.mjs';
import { startExample } from './support/example.mjs';
import { WAIT_MS, exampleWindows } from './support/example-windows.mjs';
import { until } from './support/processes.mjs';

const example = exampleWindows();
let notes = 0;

/** A note that no other test uses. */
function freshNote() {
  notes += 1;
  return `note-test-${notes}`;
}

/** One person's window on a note, in a browser context of its own. */
class Window {
  static async open(documentId, { name = 'Ada', url = example.url, isLoaded = true } = {}) {
    const page = await example.open(name);
    await page.addInitScript(
      (identity) => sessionStorage.setItem('fabric-example:identity', JSON.stringify(identity)),
      { name, color: 'blue' },
    );
    const window = new Window(page);
    page.on('websocket', (socket) => (window.clientID = new URL(socket.url()).searchParams.get('clientID')));
    await page.goto(`${url}/note?document=${encodeURIComponent(documentId)}`);
    if (isLoaded) await window.editor.waitFor();
    return window;
  }

  clientID = '';

  constructor(page) {
    this.page = page;
    this.editor = page.getByRole('textbox', { name: 'Note' });
    this.agent = page.getByRole('region', { name: 'Agent' });
  }

  /** The note as its user reads it, a line for each block, without the carets of others. */
  lines() {
    return this.editor.evaluate((note) => {
      const copy = note.cloneNode(true);
      for (const other of copy.querySelectorAll('[data-remote-caret], .ProseMirror-separator')) other.remove();
      return [...copy.querySelectorAll('p, h1, h2, pre')].map((block) => block.textContent);
    });
  }

  async type(text) {
    await this.editor.click(); // the editor takes a moment to follow a focus that no click came with
    await this.page.keyboard.press('Control+End');
    await this.page.keyboard.type(text);
  }

  async typeAtStart(text) {
    await this.editor.click();
    await this.page.keyboard.press('Control+Home');
    await this.page.keyboard.type(text);
  }

  /** Resolves once the pill says so. */
  is(word) {
    return this.page.getByRole('banner').getByText(word, { exact: true }).waitFor();
  }

  shows(...lines) {
    return converged([this], (shown) => JSON.stringify(shown) === JSON.stringify(lines));
  }

  press(name) {
    return this.page.getByRole('button', { name, exact: true }).click();
  }

  caretOf(name) {
    return this.page.locator(`[data-remote-caret="${name}"] > span`);
  }

  close() {
    return this.page.context().close();
  }
}

/** Waits until all windows show the same and `isDone` of it holds; returns the lines. */
async function converged(windows, isDone) {
  let shown = [];
  await until(
    () => `one note in all windows; they show ${JSON.stringify(shown)}`,
    async () => {
      shown = await Promise.all(windows.map((window) => window.lines()));
      return shown.every((lines) => JSON.stringify(lines) === JSON.stringify(shown[0])) && isDone(shown[0]);
    },
    { timeoutMs: WAIT_MS },
  );
  return shown[0];
}

async function ask(body, url = example.url) {
  const response = await fetch(`${url}/api/notes/agent`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** What the app has saved of a note. */
function savedFile(data, documentId) {
  const folder = path.join(data, 'saved');
  const files = (fs.existsSync(folder) ? fs.readdirSync(folder) : [])
    .filter((name) => name.endsWith('.json'))
    .map((name) => path.join(folder, name));
  return files.find((file) => JSON.parse(fs.readFileSync(file, 'utf8')).documentId === documentId);
}

describe('people in a note', { timeout: 240_000 }, () => {
  test('two windows that write at the same time end up with the same note, and lose nothing of either', async () => {
    const documentId = freshNote();
    const [ada, noor] = await Promise.all([Window.open(documentId), Window.open(documentId, { name: 'Noor' })]);
    const [first, second] = ['the quick brown fox jumps over it', 'SPHINX OF BLACK QUARTZ JUDGE MY VOW'];
    await Promise.all([ada.type(first), noor.type(second)]);
    const [text] = await converged([ada, noor], ([line]) => line.length === first.length + second.length);
    const holds = (part) => [...text].reduce((at, letter) => at + (letter === part[at] ? 1 : 0), 0) === part.length;
    assert.ok(holds(first) && holds(second), text);
  });

  test('see each other: carets with names, a list, and a new name at once', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await noor.type('here I am');
    await ada.caretOf('Noor').waitFor();
    assert.equal(await ada.caretOf('Ada').count(), 0, 'nobody sees a caret of their own');
    await ada.page.getByRole('listitem').getByText('Noor', { exact: true }).waitFor();
    await ada.page.getByText('2 people').waitFor();

    const name = noor.page.getByLabel('Your name');
    await name.fill('Noor Ali');
    await name.press('Enter');
    await ada.caretOf('Noor Ali').waitFor();
    await ada.page.getByRole('listitem').getByText('Noor Ali', { exact: true }).waitFor();

    await noor.close();
    await ada.caretOf('Noor Ali').waitFor({ state: 'detached' });
    await ada.page.getByText('only you').waitFor();
  });

  test('it says Saving until the app has the note, and Saved then', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.is('Saved');
    await ada.type('worth keeping');
    await ada.is('Saving');
    await ada.is('Saved');
    const { content } = JSON.parse(fs.readFileSync(savedFile(example.data, documentId), 'utf8'));
    assert.match(JSON.stringify(content.doc), /worth keeping/);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await noor.is('Saved');
    await noor.shows('worth keeping');
  });

  test('undo takes back what was written in this window, not what others wrote', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await ada.type('kept ');
    await noor.shows('kept ');
    // At once: keys with half a second between them are undone one by one.
    await noor.typeAtStart('');
    await noor.page.keyboard.insertText('gone ');
    await converged([ada, noor], ([line]) => line === 'gone kept ');
    await noor.page.keyboard.press('Control+z');
    await converged([ada, noor], ([line]) => line === 'kept ');
  });

  test('a note is formatted by keys alone: by the words of Markdown, and by the toolbar with its arrows', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.type('# A title\n- one\ntwo');
    await ada.editor.getByRole('heading', { name: 'A title' }).waitFor();
    assert.equal(await ada.editor.getByRole('listitem').count(), 2);

    await ada.page.keyboard.press('Shift+Tab');
    const focused = () => ada.page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    assert.equal(await focused(), 'Bold');
    await ada.page.keyboard.press('ArrowLeft');
    assert.equal(await focused(), 'Redo');
    await ada.page.keyboard.press('ArrowRight');
    await ada.page.keyboard.press('Space');
    assert.equal(await focused(), 'Note', 'back to where one writes');
    await ada.page.keyboard.type(' bold');
    assert.equal(await ada.editor.locator('strong').textContent(), ' bold');
    assert.equal(await ada.page.getByRole('button', { name: 'Bold' }).getAttribute('aria-pressed'), 'true');
    assert.equal(await ada.page.getByRole('button', { name: 'List' }).getAttribute('aria-pressed'), 'true');
  });

  test('a window that was cut off goes on with what all wrote meanwhile', async () => {
    const documentId = freshNote();
    const proxy = await ChaosProxy.start(example.port);
    try {
      const ada = await Window.open(documentId, { url: `http://127.0.0.1:${proxy.port}` });
      const noor = await Window.open(documentId, { name: 'Noor' });
      await ada.type('before');
      await noor.shows('before');
      const isOut = { now: true };
      proxy.plan = (target) => (target.startsWith('/ws/') && isOut.now ? { afterUp: 1, how: 'RST' } : {});
      proxy.linkOf(ada.clientID).cut('RST');
      await ada.is('Offline');
      await ada.type(', Ada alone');
      await noor.typeAtStart('Noor meanwhile, ');
      await ada.page.getByText('You can go on writing').waitFor();
      await ada.press('Try now'); // in vain
      isOut.now = false;
      await converged([ada, noor], ([line]) => line === 'Noor meanwhile, before, Ada alone');
      await ada.is('Saved');
    } finally {
      await proxy.close();
    }
  });
});

describe('the agent in a note', { timeout: 240_000 }, () => {
  test('writes on the server while somebody types, and neither loses a word', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    const noor = await Window.open(documentId, { name: 'Noor' });
    await ada.type('The hub keeps this note. It does more.\nEverybody sees it at once. And so on.');
    await ada.press('Summarise');
    await ada.editor.getByText('words in').waitFor();
    await noor.typeAtStart('Typed while the agent writes, letter by letter, and all of it is here. ');
    await ada.agent.getByText(/^Wrote \d+ words in \d+ edits/).waitFor();
    const summary = '16 words in 2 paragraphs, 1 minute to read. The hub keeps this note. Everybody sees it at once.';
    const lines = await converged([ada, noor], (shown) => shown.length === 3);
    assert.deepEqual(lines, [
      'Typed while the agent writes, letter by letter, and all of it is here. The hub keeps this note. It does more.',
      'Everybody sees it at once. And so on.',
      summary,
    ]);
    assert.equal(await noor.editor.getByLabel('Written by the agent').textContent(), summary);
  });

  test('can be stopped, and stops where somebody takes its passage out', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.type(Array.from({ length: 4 }, (_, at) => `Sentence ${at} has quite a few letters to write.`).join('\n'));
    await ada.press('Summarise');
    await ada.editor.getByText('words in').waitFor();
    await ada.press('Stop');
    await ada.agent.getByText('Stopped. What it wrote stays.').waitFor();
    const isFree = async () => (await ask({ documentId, task: 'tidy' })).status === 200;
    await until('the agent to have stopped on the server', isFree);
    const stopped = await ada.lines();
    assert.equal(stopped.length, 5);
    assert.doesNotMatch(stopped[4], /Sentence 3/);

    await ada.press('Summarise');
    await ada.editor.getByText('minute to read').waitFor();
    await ada.editor.click();
    await ada.page.keyboard.press('Control+a');
    await ada.page.keyboard.press('Delete');
    await ada.agent.getByText('Then somebody took the passage out.').waitFor();
    await ada.shows('');
  });

  test('tidies up in one edit, outside of code', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.type(`He said "it's - well -  late"...\n\`\`\`"code"  stays`);
    await ada.shows(`He said "it's - well -  late"...`, '"code"  stays');
    await ada.press('Tidy up');
    await ada.agent.getByText('Put 7 places right in 1 edit.').waitFor();
    await ada.shows('He said “it’s – well – late”…', '"code"  stays');
    await ada.press('Tidy up');
    await ada.agent.getByText('All is tidy.').waitFor();
  });

  test('says that there is nothing to sum up, and writes for nobody who is there, too', async () => {
    assert.deepEqual((await ask({ documentId: freshNote(), task: 'summarise' })).body, {
      end: 'nothing',
      count: 0,
      edits: 0,
      again: 0,
    });
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.type('One sentence.');
    await ada.is('Saved');
    await ada.close();
    const { body } = await ask({ documentId, task: 'summarise' });
    assert.equal(body.end, 'done');
    const noor = await Window.open(documentId, { name: 'Noor' });
    await noor.shows('One sentence.', '2 words in 1 paragraph, 1 minute to read. One sentence.');
  });

  for (const [what, body] of Object.entries({
    'no JSON': '{',
    'no note': { documentId: 'welcome', task: 'tidy' },
    'no task': { documentId: 'note-x', task: 'sing' },
  })) {
    test(`an order with ${what} is answered with 400 and a code`, async () => {
      const { status, body: answer } = await ask(body);
      assert.deepEqual([status, answer.code], [400, 'INVALID_BODY']);
    });
  }

  test('takes one order at a time in a note', async () => {
    const documentId = freshNote();
    const ada = await Window.open(documentId);
    await ada.type('Words enough for some time. And more of them. They take a while.');
    const first = ask({ documentId, task: 'summarise' });
    await ada.editor.getByText('words in').waitFor();
    assert.deepEqual((await ask({ documentId, task: 'tidy' })).body.code, 'AGENT_BUSY');
    assert.equal((await first).body.end, 'done');
  });
});

describe('a note and a text', { timeout: 240_000 }, () => {
  test('are both there after the process was killed, and what was written meanwhile', async () => {
    const documentId = freshNote();
    let server = await startExample();
    try {
      const ada = await Window.open(documentId, { url: server.url });
      const text = await example.open('Noor');
      await text.goto(`${server.url}/?document=kept`);
      const content = text.getByRole('textbox', { name: 'Document text' });
      await content.focus();
      await text.keyboard.type('the text');
      await until('the text to be saved', () => savedFile(server.data, 'kept'));
      await ada.type('before');
      await until('the note to be stored', () => ada.page.locator('[data-unconfirmed="0"]').count());
      await server.stop('SIGKILL');
      await ada.is('Offline');
      await ada.type(' and meanwhile');
      await text.close();

      server = await startExample({ data: server.data, env: { PORT: String(server.port) } });
      await ada.is('Saved');
      const noor = await Window.open(documentId, { name: 'Noor', url: server.url });
      await noor.shows('before and meanwhile');
      await noor.page.goto(`${server.url}/?document=kept`);
      await noor.page.getByText('the text').waitFor();

      // Once more, to its end: what the app has saved is enough by itself.
      await server.stop('SIGTERM');
      fs.rmSync(path.join(server.data, 'documents.redb'));
      await Promise.all([ada.close(), noor.close()]);
      server = await startExample({ data: server.data });
      const kofi = await Window.open(documentId, { name: 'Kofi', url: server.url });
      await kofi.shows('before and meanwhile');
    } finally {
      await server.stop();
    }
  });

  test('a note that cannot be loaded is said to be so, and never shown as an empty one', async () => {
    const documentId = freshNote();
    const first = await startExample();
    const ada = await Window.open(documentId, { url: first.url });
    await ada.type('not lost');
    await ada.is('Saved');
    await ada.close();
    await first.stop();
    const file = savedFile(first.data, documentId);
    const whole = fs.readFileSync(file);
    fs.writeFileSync(file, whole.subarray(0, 20));

    const server = await startExample({ data: first.data });
    try {
      const noor = await Window.open(documentId, { url: server.url, isLoaded: false });
      await noor.page.getByText('The document could not be opened yet').waitFor();
      await noor.page.getByRole('status', { name: 'Loading the document' }).waitFor();
      assert.equal(await noor.editor.count(), 0);
      assert.equal((await ask({ documentId, task: 'tidy' }, server.url)).body.code, 'HUB_UNAVAILABLE');
      fs.writeFileSync(file, whole);
      await noor.shows('not lost');
    } finally {
      await server.stop();
    }
  });

  test('each is shown by its own page, and the first note has something in it', async () => {
    const page = await example.open('Ada');
    await page.goto(`${example.url}/?document=note-welcome`);
    await page.getByRole('heading', { name: 'A note that stays' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/note');
    assert.equal(await page.getByRole('link', { name: 'Note' }).getAttribute('aria-current'), 'page');
    await page.getByRole('link', { name: 'Text' }).click();
    await page.getByRole('textbox', { name: 'Document text' }).waitFor();
    await page.goto(`${example.url}/note?document=plans`);
    await page.getByTitle('Document note-plans').waitFor();
  });

  test('a narrow window has no line that goes out of it', async () => {
    for (const address of ['/', '/note', '/agent']) {
      const page = await example.open('Ada');
      await page.setViewportSize({ width: 390, height: 844 });
      await page.goto(`${example.url}${address}`);
      await page.getByRole('banner').getByRole('link', { name: 'Open another window' }).waitFor();
      await page.getByRole('textbox').first().waitFor();
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.equal(over, 0, address);
      await page.context().close();
    }
  });
});
