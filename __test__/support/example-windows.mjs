// Windows of Chromium on the example app, for the tests of a file.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { launchChromium } from './browser.mjs';
import { ensureExampleBuilt, startExample } from './example.mjs';

/** How long a page may take for anything that a test asks of it. */
export const WAIT_MS = 30_000;

/**
 * Has the example and a browser run during the tests of the file that calls it. After each test its windows are closed,
 * and it fails where a page had an error that nobody caught.
 *
 * @param options of startExample
 */
export function exampleWindows(options) {
  let browser;
  let example;
  const pageErrors = [];

  before(
    async () => {
      await ensureExampleBuilt();
      browser = await launchChromium();
      example = await startExample(options);
    },
    { timeout: 600_000 },
  );

  after(async () => {
    await browser?.close();
    await example?.stop();
  });

  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    assert.deepEqual(pageErrors.splice(0), []);
  });

  return {
    get url() {
      return example.url;
    },
    get port() {
      return example.port;
    },
    /** The folder of its documents. */
    get data() {
      return example.data;
    },
    /** An empty page in a browser context of its own, so that it shares nothing with others but the server. */
    async open(name) {
      const context = await browser.newContext();
      const page = await context.newPage();
      page.setDefaultTimeout(WAIT_MS);
      page.on('pageerror', (error) => pageErrors.push(`${name}: ${error.stack}`));
      return page;
    },
  };
}
