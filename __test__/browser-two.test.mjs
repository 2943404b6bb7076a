// The example in two processes, by the one command that starts them: windows in real Chromium, over a real Redis and nginx.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { after, before, describe } from 'node:test';
import { ensureSystemPackages } from '../scripts/system.mjs';
import { launchChromium } from './support/browser.mjs';
import { ensureExampleBuilt, exampleRoot } from './support/example.mjs';
import { isAlive } from './support/pm2.mjs';
import { freePorts, isFree } from './support/ports.mjs';
import { childEnvironment, progress, Service, until } from './support/processes.mjs';

const WAIT_MS = 30_000;
const DOCUMENT = 'over-two-processes';

/** `npm run start:two`, without npm between. */
function startTwo(env) {
  const { scripts } = JSON.parse(fs.readFileSync(path.join(exampleRoot, 'package.json'), 'utf8'));
  const [command, ...args] = scripts['start:two'].split(' ');
  assert.equal(command, 'node');
  return new Service('the example in two processes', process.execPath, args, {
    cwd: exampleRoot,
    env: childEnvironment(env),
    lastSignal: 'SIGTERM',
  });
}

const childrenOf = (pid) =>
  fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

const folders = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith('captify-hub-two-'));

let browser;
let example;
let url;
let port;
let foldersBefore;
let data;
const errors = [];
before(
  async () => {
    await ensureSystemPackages(['redis', 'nginx', 'chromium'], { log: progress });
    await ensureExampleBuilt();
    foldersBefore = folders();
    data = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-kept-'));
    [port] = await freePorts(1);
    browser = await launchChromium();
    example = startTwo({ PORT: String(port), HUB_EXAMPLE_DATA: data });
    url = `http://127.0.0.1:${port}`;
    await example.printed(/Two processes, one hub/);
  },
  { timeout: 600_000 },
);
after(async () => {
  await browser?.close();
  await example?.stop();
  fs.rmSync(data, { recursive: true, force: true });
});

/** A window of one person. */
async function open(name, color, page = `/?document=${DOCUMENT}`) {
  const window = await (await browser.newContext()).newPage();
  window.setDefaultTimeout(WAIT_MS);
  window.on('pageerror', (error) => errors.push(`${name}: ${error.stack}`));
  await window.addInitScript(
    (identity) => sessionStorage.setItem('fabric-example:identity', JSON.stringify(identity)),
    { name, color },
  );
  await window.goto(`${url}${page}`);
  return window;
}

const isLive = (window) => window.locator('[data-phase="open"][data-synced="true"]').waitFor();
const type = async (window, text) => {
  await window.getByRole('textbox', { name: 'Document text' }).focus();
  await window.keyboard.type(text);
};
const shows = (window, text) =>
  until(`${text} to be shown`, async () => (await window.locator('.cm-content').textContent()).includes(text));

/** What the panel says of each process: `[[id, count], …]`. */
const processesOf = (window) =>
  window
    .locator('[data-process]')
    .evaluateAll((all) => all.map((each) => [Number(each.dataset.process), Number(each.textContent)]));

describe('the example in two processes', { timeout: 240_000 }, () => {
  let windows;

  test('two windows of different processes edit one text, and see each other', async () => {
    windows = [await open('Ada', 'blue'), await open('Noor', 'green')];
    await Promise.all(windows.map(isLive));
    await type(windows[0], 'from Ada. ');
    await shows(windows[1], 'from Ada. ');
    await type(windows[1], 'from Noor. ');
    await shows(windows[0], 'from Noor. ');
    await windows[0].locator('[data-remote-caret]').getByText('Noor').waitFor();
  });

  test('the panel of each says how many connections each process has, and how many there are', async () => {
    for (const window of windows) {
      const processes = await until('both processes', async () => {
        const all = await processesOf(window);
        return all.length === 2 && all.every(([, count]) => count === 1) && all;
      });
      assert.ok(processes.every(([pid]) => childrenOf(example.pid).includes(pid)));
      for (const what of ['fabric', DOCUMENT]) {
        assert.equal(await window.locator(`[data-count="${what}"]`).textContent(), '2');
      }
    }
  });

  test('a note is one document for both processes, and is saved once for both', async () => {
    const notes = [await open('Kofi', 'red', '/note'), await open('Mei', 'blue', '/note')];
    const [kofi, mei] = notes.map((note) => note.locator('.ProseMirror'));
    await kofi.getByText('Try it').waitFor();
    await mei.getByText('Try it').waitFor();
    const at = async (note, editor, words) => {
      await editor.getByRole('heading', { name: 'A note that stays' }).click();
      await note.keyboard.press('End');
      await note.keyboard.type(words);
    };
    await at(notes[0], kofi, ', says Kofi');
    await mei.getByText('A note that stays, says Kofi').waitFor();
    await at(notes[1], mei, ' and Mei');
    await kofi.getByText('says Kofi and Mei').waitFor();
    for (const note of notes) await note.getByText('Saved', { exact: true }).waitFor();
    for (const note of notes) await note.context().close();
  });

  test('when a process is killed its window goes on with the other one, and nothing is missing', async () => {
    const [[pid]] = await processesOf(windows[0]);
    process.kill(pid, 'SIGKILL');
    await example.printed(/has ended: SIGKILL\. Its windows go on with process \d/);
    await Promise.race(windows.map((window) => window.locator('[data-beginning="recovered"]').waitFor()));
    await Promise.all(windows.map(isLive));
    await type(windows[0], 'Ada goes on. ');
    await shows(windows[1], 'Ada goes on. ');
    await type(windows[1], 'So does Noor. ');
    await shows(windows[0], 'So does Noor. ');
    for (const window of windows) {
      await window.locator('[data-process]').first().waitFor({ state: 'detached' });
      await window.locator('[data-count="fabric"]').getByText('2', { exact: true }).waitFor();
    }
    assert.deepEqual(errors, []);
  });

  test('Ctrl-C ends everything that was started, and leaves nothing', async () => {
    const children = childrenOf(example.pid);
    assert.equal(children.length, 3, 'one server, nginx and Redis');
    assert.deepEqual(await example.stop('SIGINT'), { code: 0, signal: null });
    assert.deepEqual(children.filter(isAlive), []);
    assert.ok(await isFree(port));
    assert.deepEqual(folders(), foldersBefore);
  });

  test('what is missing is said in one line', async () => {
    const alone = startTwo({ PATH: '/nowhere' });
    assert.deepEqual(await alone.exit, { code: 1, signal: null });
    assert.match(alone.output, /^Two processes need what is not here: redis-server .*\n$/);
  });

  test('where somebody else has the port, it says so and leaves nothing', async (t) => {
    const taken = net.createServer((socket) => socket.destroy());
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    t.after(() => taken.close());
    const late = startTwo({ PORT: String(taken.address().port) });
    assert.deepEqual(await late.exit, { code: 1, signal: null });
    assert.match(late.output, /in use/);
    assert.deepEqual(folders(), foldersBefore);
  });
});
