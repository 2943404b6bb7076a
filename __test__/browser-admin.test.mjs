// The admin page in real Chromium, on a hub with clients: who sees it, what it shows, what it does, and what it does not do for
// other pages.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import test, { after, afterEach, before } from 'node:test';
import { AdminStage, PATH } from './support/admin-stage.mjs';
import { launchChromium } from './support/browser.mjs';
import { uniqueId } from './support/hub-server.mjs';
import { until } from './support/processes.mjs';

const WAIT_MS = 20_000;
const IMAGE = '<img src=x onerror="globalThis.hacked=true">';

let browser;
let stage;
/** What a page complained of: faults, and what its policy has kept it from. */
const complaints = [];

before(async () => {
  browser = await launchChromium();
  stage = await AdminStage.start({
    documents: {
      kind: (documentId) => (documentId.startsWith('kept') ? 'steps' : 'relay'),
      store: false,
      load: async () => ({ doc: {}, version: 0 }),
      save: async () => {},
    },
  });
});

after(async () => {
  await browser?.close();
  await stage?.close();
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  stage.server.dropClients();
  stage.isGone = false;
  assert.deepEqual(complaints.splice(0), []);
});

/** A page of somebody who may see it, or of a stranger. */
async function open(hash = '', { name = 'Ada Lovelace', ...options } = {}) {
  const context = await browser.newContext(options);
  if (name) await context.addCookies([stage.cookie(name)]);
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('console', (message) => {
    if (/Content Security Policy|Trusted/i.test(message.text())) complaints.push(message.text());
  });
  await page.goto(stage.url + hash);
  return page;
}

const status = (page, words) => page.locator('#status', { hasText: words }).waitFor();
const row = (page, words) => page.getByRole('row').filter({ hasText: words });

/** Opens what is known of a connection, chooses something, and confirms it; answers what the page tells of it. */
async function act(page, choose, confirm) {
  await choose();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: confirm, exact: true }).click();
  const told = dialog.locator('.result');
  await told.filter({ hasText: /Done|Saved|nothing/ }).waitFor();
  const words = await told.textContent();
  await dialog.getByRole('button', { name: 'Close' }).click();
  return words;
}

test('a stranger sees that they may not, and nothing else is loaded', async () => {
  const requested = [];
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('request', (request) => requested.push(new URL(request.url()).search));
  page.on('console', (message) => /Policy/.test(message.text()) && complaints.push(message.text()));
  const response = await page.goto(stage.url);
  assert.equal(response.status(), 403);
  await page.getByRole('heading', { name: 'You may not see this page' }).waitFor();
  assert.deepEqual(
    requested.filter((query) => query !== ''),
    [],
  );
  for (const query of ['?data=overview', '?file=admin.js']) {
    assert.equal((await context.request.get(stage.url + query)).status(), 403);
  }
});

test('names that are markup are text, in every view', async () => {
  const [user, client, documentId] = [`${IMAGE}u`, `${IMAGE}c`, `${IMAGE}d`];
  const member = await stage.join(documentId, user, client);
  for (let fault = 0; fault < 3; fault += 1) member.socket.send('no JSON');
  const page = await open();
  await status(page, 'Ready');
  for (const view of [
    'overview',
    'connections',
    'documents',
    'events',
    'metrics',
    `document?id=${encodeURIComponent(documentId)}`,
  ]) {
    await page.goto(`${stage.url}#${view}`);
    if (!/metrics|events/.test(view)) await page.getByText(documentId).or(page.getByText(user)).first().waitFor();
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined, view);
    assert.equal(await page.locator('main img').count(), 0, view);
  }
  await row(page, user)
    .getByRole('button', { name: /^Manage/ })
    .click();
  await page.getByRole('dialog').getByText(client).waitFor();
  await page.getByRole('button', { name: 'Disconnect user…' }).click();
  await page.getByRole('dialog').getByText(user).waitFor();
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
});

test('a page of another origin can do nothing and see nothing, though the browser sends the cookie along', async (t) => {
  const [user, documentId] = [uniqueId('user'), uniqueId()];
  const member = await stage.join(documentId, user, 'client');
  // The same host on another port: the same site, so that cookies go along, and another origin.
  const other = http.createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>other</title><body>');
  });
  await once(other.listen(0, '127.0.0.1'), 'listening');
  t.after(() => other.close());
  const context = await browser.newContext();
  await context.addCookies([stage.cookie()]);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);

  const action = JSON.stringify({ action: 'disconnectUser', userId: user });
  const outcomes = await page.evaluate(
    async ({ url, action }) => {
      const tries = {
        json: { method: 'POST', body: action, headers: { 'content-type': 'application/json' } },
        text: { method: 'POST', body: action, headers: { 'content-type': 'text/plain' } },
        opaque: { method: 'POST', body: action, mode: 'no-cors' },
        read: { method: 'GET' },
      };
      const results = {};
      for (const [name, options] of Object.entries(tries)) {
        results[name] = await fetch(name === 'read' ? `${url}?data=connections` : url, {
          credentials: 'include',
          ...options,
        })
          .then((response) => `${response.type} ${response.status}`)
          .catch((error) => error.name);
      }
      const loaded = (tag, source) =>
        new Promise((resolve) => {
          const element = document.createElement(tag);
          element.onload = () => resolve('loaded');
          element.onerror = () => resolve('refused');
          element.src = source;
          document.body.append(element);
        });
      results.script = await loaded('script', `${url}?file=admin.js`);
      results.image = await loaded('img', `${url}?file=icon.svg`);
      return results;
    },
    { url: stage.url, action },
  );
  assert.deepEqual(outcomes, {
    json: 'TypeError',
    text: 'TypeError',
    opaque: 'TypeError',
    read: 'TypeError',
    script: 'refused',
    image: 'refused',
  });

  // A form may post to wherever it likes, and shows the answer.
  const navigated = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.evaluate(
    ({ url, action }) => {
      const form = Object.assign(document.createElement('form'), {
        method: 'post',
        enctype: 'text/plain',
        action: url,
      });
      form.append(Object.assign(document.createElement('input'), { name: action.slice(0, -1), value: '"x":"y"}' }));
      document.body.append(form);
      form.submit();
    },
    { url: stage.url, action },
  );
  assert.equal((await navigated).status(), 403);
  await until('the attempt in the log', () => stage.logged('ADMIN_REFUSED'));
  assert.equal(stage.logged('ADMIN_REFUSED').by, 'Ada');

  // Nor can it be framed.
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  await page.evaluate((url) => {
    const frame = document.createElement('iframe');
    frame.src = url;
    document.body.append(frame);
    return new Promise((resolve) => (frame.onload = resolve));
  }, stage.url);
  assert.doesNotMatch(await page.frames().at(-1).content(), /Overview/);

  assert.equal(member.socket.readyState, member.socket.OPEN);
  assert.equal(stage.logged('ADMIN_ACTION'), undefined);
  complaints.length = 0;
});

test('what can be done is done after a confirmation, told, and in the security log with who did it', async () => {
  const documentId = uniqueId('kept');
  const [ben, eve, zoe] = await Promise.all(
    ['ben', 'eve', 'zoe'].map((user) => stage.join(documentId, user, `client of ${user}`)),
  );
  const page = await open(`#document?id=${documentId}`);
  const manage = (user) =>
    row(page, user)
      .getByRole('button', { name: /^Manage/ })
      .click();
  const logged = (hint) =>
    until(`${hint} in the log`, () => stage.events.find((event) => event.hint?.startsWith(hint)));

  await manage('ben');
  await page.getByRole('button', { name: 'Change access…' }).click();
  await page.getByLabel(/may/).selectOption('read');
  assert.match(await act(page, async () => {}, 'Change access'), /1 connection/);
  assert.equal((await ben.received(({ type }) => type === 'access')).access, 'read');
  assert.equal((await logged('setAccess read')).by, 'Ada Lovelace');

  const recheck = () => page.getByRole('button', { name: 'Recheck access…' }).click();
  assert.match(await act(page, recheck, 'Recheck'), /3 connections/);
  assert.equal((await logged('recheckAccess')).document, documentId);

  zoe.send({ type: 'steps', version: 0, steps: [{ stepType: 'replace' }] });
  await zoe.received(({ type }) => type === 'steps');
  assert.match(await act(page, () => page.getByRole('button', { name: 'Save now…' }).click(), 'Save now'), /Saved/);
  await logged('saveDocument');

  await manage('eve');
  const disconnect = () => page.getByRole('button', { name: 'Disconnect…' }).click();
  assert.match(await act(page, disconnect, 'Disconnect'), /the connection was closed/);
  assert.equal((await eve.closing()).code, 4403);
  await logged('disconnectConnection');

  await manage('zoe');
  const disconnectUser = () => page.getByRole('button', { name: 'Disconnect user…' }).click();
  assert.match(await act(page, disconnectUser, 'Disconnect user'), /1 connection was closed/);
  assert.equal((await zoe.closing()).code, 4403);
  assert.equal((await logged('disconnectUser')).user, 'zoe');
  assert.equal(ben.socket.readyState, ben.socket.OPEN);

  await page.getByRole('link', { name: 'Security events' }).click();
  await row(page, 'disconnectUser').filter({ hasText: 'Ada Lovelace' }).waitFor();
});

test('what is not confirmed is not done, by a press of Escape or of Cancel', async () => {
  const user = uniqueId('user');
  const member = await stage.join(uniqueId(), user, 'client');
  const page = await open('#connections');
  for (const undo of [
    () => page.keyboard.press('Escape'),
    () => page.getByRole('button', { name: 'Cancel' }).click(),
  ]) {
    await row(page, user)
      .getByRole('button', { name: /^Manage/ })
      .click();
    await page.getByRole('button', { name: 'Disconnect user…' }).click();
    await undo();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  }
  assert.equal(member.socket.readyState, member.socket.OPEN);
  assert.ok(!stage.events.some((event) => event.user === user));
});

test('all of it is reached by keyboard, and a table keeps the focus while it is asked for anew', async () => {
  const user = uniqueId('user');
  await stage.join(uniqueId(), user, 'client');
  const page = await open('#connections');
  await row(page, user).waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  const button = row(page, user).getByRole('button', { name: `Manage the connection of ${user}` });
  await button.focus();
  const before = stage.asked.ever;
  await until('two more answers', () => stage.asked.ever > before + 2);
  assert.ok(await button.evaluate((element) => element === document.activeElement));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Connection' }).waitFor();
  await page.keyboard.press('Escape');
  assert.ok(await button.evaluate((element) => element === document.activeElement), 'the focus comes back');
  await page.getByRole('button', { name: 'Waiting' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('columnheader', { name: 'Waiting' }).and(page.locator('[aria-sort=descending]')).waitFor();
});

test('lists are narrowed and cut by the hub, and their state is the address', async () => {
  const documentId = uniqueId();
  await Promise.all(
    Array.from({ length: 60 }, (_, index) => stage.join(documentId, `user-${index}`, `client-${index}`)),
  );
  const page = await open('#connections');
  await page.getByText('50 of 60 connections').waitFor();
  assert.equal(await page.locator('tbody tr').count(), 50);
  await page.getByRole('searchbox', { name: 'User' }).fill('user-7');
  await page.getByText('1 connection', { exact: true }).waitFor();
  assert.match(page.url(), /#connections\?.*user=user-7/);
  await page.reload();
  assert.equal(await page.getByRole('searchbox', { name: 'User' }).inputValue(), 'user-7');
  await page.getByRole('link', { name: documentId }).click();
  await page.getByRole('heading', { name: documentId }).waitFor();
  await page.goBack();
  assert.equal(await page.getByRole('searchbox', { name: 'User' }).inputValue(), 'user-7');
});

test('one request is under way at most, none while the page is hidden, and one at once when it is seen again', async () => {
  const page = await open();
  await status(page, 'Ready');
  for (const view of ['documents', 'connections', 'events', 'metrics', 'overview'])
    await page.locator(`#to-${view}`).click();
  await status(page, 'Ready');
  assert.equal(stage.asked.most, 1);
  const hide = (isHidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  await hide(true);
  await until('no request under way', () => stage.asked.now === 0);
  const before = stage.asked.ever;
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 3000)));
  assert.equal(stage.asked.ever, before);
  await hide(false);
  await until('a request', () => stage.asked.ever > before, { timeoutMs: 1500 });
});

test('a server that is gone is said to be, and found again', async () => {
  const page = await open();
  await status(page, 'Ready');
  stage.isGone = true;
  await status(page, 'No answer');
  await page.getByText(/The server does not answer: no connection came about\. What you see is from/).waitFor();
  stage.isGone = false;
  await status(page, 'Ready');
  await page.locator('#banner').waitFor({ state: 'hidden' });
});

test('who is not let in any more is told, and asks no more', async () => {
  const page = await open();
  await status(page, 'Ready');
  await page.context().clearCookies();
  await status(page, 'Signed out');
  await page.getByText('You may not see this page any more').waitFor();
  const before = stage.asked.ever;
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 3000)));
  assert.equal(stage.asked.ever, before);
});

test('on a phone nothing is wider than the screen, in any view', async () => {
  const documentId = uniqueId('kept-with-a-name-that-is-longer-than-a-phone-is-wide-and-has-no-place-to-break');
  await stage.join(documentId, `${uniqueId('user')}@a-domain-that-is-long.example.com`, 'client');
  const page = await open('', { viewport: { width: 390, height: 844 } });
  for (const view of ['overview', 'documents', 'connections', 'events', 'metrics', `document?id=${documentId}`]) {
    await page.goto(`${stage.url}#${view}`);
    await status(page, 'Ready');
    await page.locator('main :is(table, .empty):visible').first().waitFor();
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${view} is ${over} px wider`);
  }
  assert.equal(PATH, new URL(page.url()).pathname);
});
