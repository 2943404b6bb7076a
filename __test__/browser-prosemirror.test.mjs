// ProseMirror editors in real Chromium, in two windows on one document.
import assert from 'node:assert/strict';
import test, { after, afterEach, before, describe } from 'node:test';
import { start } from './support/authority.mjs';
import { launchChromium } from './support/browser.mjs';
import { until } from './support/processes.mjs';
import { serveEditorPage } from './support/editor-page.mjs';
import { paragraphs } from './support/editors.mjs';
import { uniqueId } from './support/hub-server.mjs';

let browser;
let authority;
let site;
let pageErrors = [];

before(
  async () => {
    authority = await start({ doc: paragraphs('The first paragraph.', 'The second one.').toJSON() });
    site = await serveEditorPage();
    browser = await launchChromium();
  },
  { timeout: 120_000 },
);

after(async () => {
  await browser?.close();
  await site?.close();
  await authority?.close();
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  assert.deepEqual(pageErrors.splice(0), []);
});

async function open(documentId, userName, userColor) {
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => pageErrors.push(`${userName}: ${error.stack}`));
  const query = new URLSearchParams({ url: `${authority.base}/ws/fabric`, documentId, userName, userColor });
  await page.goto(`${site.url}?${query}`);
  await isKept(page);
  return page;
}

/** The hub has all of it, and may have had the app save it. */
const isKept = (page) =>
  page.locator('[role=status]:is([data-state=stored], [data-state=saved])').waitFor({ timeout: 20_000 });
const isIn = (page, state) => page.locator(`[role=status][data-state="${state}"]`).waitFor({ timeout: 20_000 });
const content = (page) =>
  page.evaluate(() => window.view.state.doc.textBetween(0, window.view.state.doc.content.size, '|'));

async function shows(page, text) {
  const isShown = (wanted) => {
    const { doc } = window.view.state;
    return doc.textBetween(0, doc.content.size, '|') === wanted;
  };
  await page.waitForFunction(isShown, text, { timeout: 20_000 }).catch(async (error) => {
    throw new Error(`${error.message}; it shows ${await content(page)}`);
  });
}

/** What others write may come between a key and the editor's notice of where it has put the caret, which it then puts back. */
async function caretTo(page, key, isThere) {
  await page.locator('.ProseMirror').click();
  await until(`the caret to be where ${key} puts it`, async () => {
    await page.keyboard.press(key);
    return page.evaluate(isThere);
  });
}

async function typeAtEnd(page, text) {
  await caretTo(page, 'Control+End', () => {
    const { doc, selection } = window.view.state;
    return selection.empty && selection.head === doc.content.size - 1;
  });
  await page.keyboard.type(text);
}

async function typeAtStart(page, text) {
  await caretTo(
    page,
    'Control+Home',
    () => window.view.state.selection.empty && window.view.state.selection.head === 1,
  );
  await page.keyboard.type(text);
}

describe('two windows', { timeout: 120_000 }, () => {
  test('write at the same time, see each other, and undo their own', async () => {
    const documentId = uniqueId();
    const ada = await open(documentId, 'Ada', '#b4232a');
    const noor = await open(documentId, 'Noor', '#1f6feb');
    await Promise.all([typeAtStart(ada, 'Ada was here. '), typeAtEnd(noor, ' Noor as well.')]);
    const whole = 'Ada was here. The first paragraph.|The second one. Noor as well.';
    await shows(ada, whole);
    await shows(noor, whole);

    const cursorIn = (page, name) => page.locator('.fabric-cursor', { hasText: name });
    await cursorIn(ada, 'Noor').waitFor();
    await cursorIn(noor, 'Ada').waitFor();
    assert.equal(await cursorIn(ada, 'Ada').count(), 0, 'nobody sees a cursor of their own');
    const isBehind = () => document.querySelector('.fabric-cursor').previousSibling?.textContent === 'Ada was here. ';
    await noor.waitForFunction(isBehind, null, { timeout: 20_000 });

    await ada.keyboard.press('Control+Shift+ArrowLeft');
    await ada.keyboard.press('Control+Shift+ArrowLeft');
    const selection = noor.locator('.fabric-selection', { hasText: /^here\. $/ });
    await selection.waitFor({ timeout: 20_000 });
    const color = await selection.evaluate((element) => getComputedStyle(element).backgroundColor);
    assert.notEqual(color, 'rgba(0, 0, 0, 0)');
    if (process.env.SCREENSHOTS) {
      await noor.screenshot({ path: `${process.env.SCREENSHOTS}/two-windows.png` });
      await ada.setViewportSize({ width: 360, height: 420 });
      await ada.screenshot({ path: `${process.env.SCREENSHOTS}/narrow.png` });
    }

    const without = 'Ada was here. The first paragraph.|The second one.';
    await until('what Noor wrote to be taken back', async () => {
      // At once, or bit by bit where there was half a second between two keys.
      await noor.keyboard.press('Control+z');
      return (await content(noor)) === without;
    });
    await shows(ada, without);
    authority.tell(documentId, { type: 'saved', version: 1000 });
    await isIn(ada, 'saved');
    await ada.close();
    await cursorIn(noor, 'Ada').waitFor({ state: 'detached' });
  });

  test('a window goes on by itself after it was offline, with what both wrote meanwhile', async () => {
    const documentId = uniqueId();
    const ada = await open(documentId, 'Ada', '#b4232a');
    const noor = await open(documentId, 'Noor', 'url(https://example.org/)');
    await ada.evaluate(() => window.client.close());
    await isIn(ada, 'closed');
    assert.equal(await ada.locator('.ProseMirror').getAttribute('contenteditable'), 'false');
    await typeAtEnd(noor, ' From afar.');
    await ada.evaluate(() => window.client.connect());
    await shows(ada, 'The first paragraph.|The second one. From afar.');
    await isKept(ada);
    await typeAtStart(ada, 'Back. ');
    await shows(noor, 'Back. The first paragraph.|The second one. From afar.');
    const style = await ada.locator('.fabric-cursor').getAttribute('style');
    assert.doesNotMatch(style, /url/, "a colour is another client's word");
  });
});
