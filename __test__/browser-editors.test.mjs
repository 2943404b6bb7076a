// Real editors in real Chromium, bound to a Y.js document by the provider that the package ships: two windows of each, in a
// relay and in a document that keeps its updates.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { after, afterEach, before, describe } from 'node:test';
import { getConnectionCount } from '../js/index.js';
import { merge } from '../js/yjs.mjs';
import { launchChromium } from './support/browser.mjs';
import { ChaosProxy } from './support/chaos-proxy.mjs';
import { makeFolder } from './support/fixture-apps.mjs';
import { HubServer, uniqueId } from './support/hub-server.mjs';
import { until } from './support/processes.mjs';

const PAGE = `<!doctype html><meta charset="utf-8"><title>Editor</title><style>.ProseMirror { white-space: pre-wrap; }</style><div id="editor"></div>
<script type="module" src="/page.js"></script>`;
const WAIT_MS = 30_000;

let browser;
let server;
let proxy;
let store;
const complaints = [];

before(
  async () => {
    const folder = await makeFolder('editors');
    const esbuild = createRequire(path.join(folder, 'page.js'))('esbuild');
    const entryPoints = [path.join(folder, 'page.js')];
    const { outputFiles } = await esbuild.build({ entryPoints, bundle: true, format: 'esm', write: false });
    const script = outputFiles[0].text;
    browser = await launchChromium();
    store = await fs.mkdtemp(path.join(os.tmpdir(), 'captify-hub-editors-'));
    server = await HubServer.start({
      allowedOrigins: 'any', // of the proxy
      documents: {
        kind: (documentId) => (documentId.startsWith('updates') ? 'updates' : 'relay'),
        store: path.join(store, 'documents.redb'),
        merge,
      },
      listener(request, response) {
        const isScript = request.url === '/page.js';
        response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
        response.end(isScript ? script : PAGE);
      },
    });
    proxy = await ChaosProxy.start(server.port);
  },
  { timeout: 300_000 },
);

after(async () => {
  await browser?.close();
  await proxy?.close();
  await server?.close();
  await fs.rm(store, { recursive: true, force: true });
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  assert.deepEqual(complaints.splice(0), []);
});

/** One person's window, in a browser context of its own. */
async function open(editor, documentId, name, port = server.port) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('pageerror', (error) => complaints.push(`${name}: ${error.stack}`));
  // Two copies of Y.js would say so here.
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !/WebSocket|favicon|404/.test(message.text()))
      complaints.push(`${name}: ${message.text()}`);
  });
  await page.goto(`http://127.0.0.1:${port}/?${new URLSearchParams({ editor, documentId, name })}`);
  await page.locator('body[data-synced="true"]').waitFor();
  const text = page.locator('.ProseMirror');
  const type = async (words) => {
    await text.focus();
    await page.keyboard.type(words);
  };
  /** The text as its user sees it, without the carets of others. */
  const read = () =>
    text.evaluate((content, carets) => {
      const copy = content.cloneNode(true);
      for (const caret of copy.querySelectorAll(carets)) caret.remove();
      return [...copy.querySelectorAll('p')].map((line) => line.textContent.replace(/[\u2060\ufeff]/g, '')).join('\n');
    }, Object.values(CARETS).join());
  return { page, text, type, read };
}

function shows(windows, isRight) {
  let texts = [];
  return until(
    () => `one text in all windows; there is ${JSON.stringify(texts)}`,
    async () => {
      texts = await Promise.all(windows.map(({ read }) => read()));
      return texts.every((text) => text === texts[0]) && isRight(texts[0]);
    },
    { timeoutMs: WAIT_MS },
  );
}

const KINDS = ['relay', 'updates'];
const CARETS = {
  prosemirror: '.ProseMirror-yjs-cursor',
  tiptap: '.collaboration-carets__caret',
  blocknote: '.bn-collaboration-cursor__base',
};

/** BlockNote makes the first block in each window that finds none, and keeps one of them: it has to be there before. */
const BEGUN = { blocknote: 'begun: ' };

for (const [editor, kind] of Object.keys(CARETS).flatMap((editor) => KINDS.map((kind) => [editor, kind]))) {
  describe(`two windows with ${editor}, in a document of kind ${kind},`, { timeout: 180_000 }, () => {
    test('that type at the same time end up with the same text, and lose nothing of either', async () => {
      const id = uniqueId(kind);
      const [ada, noor] = [await open(editor, id, 'Ada'), await open(editor, id, 'Noor')];
      const [first, second] = ['the quick brown fox jumps', 'SPHINX OF BLACK QUARTZ'];
      const begun = BEGUN[editor] ?? '';
      await ada.type(begun);
      await shows([ada, noor], (text) => text.trim() === begun.trim());
      await Promise.all([ada.type(first), noor.type(second)]);
      const length = begun.length + first.length + second.length;
      await shows([ada, noor], (text) => text.replace(/\n/g, '').length === length);
      const late = await open(editor, id, 'Vera');
      await shows([ada, noor, late], (text) => text.length > 0);
    });

    test('see where the other one writes, with a name, until the other one leaves', async () => {
      const id = uniqueId(kind);
      const [ada, noor] = [await open(editor, id, 'Ada'), await open(editor, id, 'Noor')];
      await noor.type('here I am');
      await shows([ada, noor], (text) => text.trim() === 'here I am');
      const caret = ada.page.locator(CARETS[editor]);
      await caret.getByText('Noor').waitFor({ state: 'attached' });
      await noor.page.close({ runBeforeUnload: true });
      await caret.first().waitFor({ state: 'detached' });
    });

    test('take back by undo what was typed here, not what others typed', async () => {
      const id = uniqueId(kind);
      const [ada, noor] = [await open(editor, id, 'Ada'), await open(editor, id, 'Noor')];
      await ada.type('kept ');
      await shows([ada, noor], (text) => text.trim() === 'kept');
      await noor.text.focus();
      await noor.page.keyboard.press('Control+Home');
      // At once: keys with half a second between them are undone one by one.
      await noor.page.keyboard.insertText('gone ');
      await shows([ada, noor], (text) => text.trim() === 'gone kept');
      await noor.page.keyboard.press('Control+z');
      await shows([ada, noor], (text) => text.trim() === 'kept');
    });

    test('of which one is cut off have what both wrote meanwhile once it is back', async () => {
      const id = uniqueId(kind);
      const [ada, noor] = [await open(editor, id, 'Ada', proxy.port), await open(editor, id, 'Noor')];
      await ada.type('before ');
      await shows([ada, noor], (text) => text.trim() === 'before');
      proxy.hubPort = 1;
      proxy.cutAll('RST');
      await ada.page.locator('body[data-synced="false"]').waitFor();
      await ada.type('offline');
      await noor.text.focus();
      await noor.page.keyboard.press('Control+Home');
      await noor.page.keyboard.type('online ');
      proxy.hubPort = server.port;
      await shows([ada, noor], (text) => text.trim() === 'online before offline');
    });

    if (kind === 'updates') {
      test('leave a document behind that is there for who comes when nobody is there any more', async () => {
        const id = uniqueId(kind);
        const ada = await open(editor, id, 'Ada');
        await ada.type('I was here');
        await ada.page.locator('body[data-unacknowledged="0"]').waitFor();
        await ada.page.close({ runBeforeUnload: true });
        await until('nobody to be there', () => getConnectionCount(id) === 0);
        const noor = await open(editor, id, 'Noor');
        await shows([noor], (text) => text.trim() === 'I was here');
      });
    }
  });
}
