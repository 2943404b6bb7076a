// A visit to the admin page of a fixture app, as far as fetch goes: what Next may do to its addresses and headers.
import assert from 'node:assert/strict';

const ADMIN = { 'x-fixture-admin': 'Ada' };

/**
 * @param {string} address of the page, as somebody would type it
 * @param {string} documentId of a document with one member
 */
export async function visitAdmin(address, documentId) {
  const closed = await fetch(address, { headers: { accept: 'text/html' } });
  assert.equal(closed.status, 403);
  assert.doesNotMatch(await closed.text(), /hub|admin\.js/i, 'who may not see it is told nothing of it');

  const page = await fetch(address, { headers: { ...ADMIN, accept: 'text/html' } });
  assert.equal(page.status, 200);
  assert.equal(page.headers.get('cache-control'), 'no-store');
  assert.match(page.headers.get('content-security-policy'), /^default-src 'none'; script-src 'self'; /);
  const html = await page.text();
  const files = [...html.matchAll(/(?:src|href)="(\?file=[^"]+)"/g)].map(([, query]) => query.replaceAll('&amp;', '&'));
  assert.ok(files.length >= 3, html);
  for (const query of files) {
    const file = await fetch(new URL(query, page.url), { headers: ADMIN });
    assert.equal(file.status, 200, query);
    assert.match(file.headers.get('cache-control'), /immutable/);
    assert.equal((await fetch(new URL(query, page.url))).status, 403, 'its files are closed, too');
  }

  const ask = (query) => fetch(new URL(query, page.url), { headers: ADMIN, redirect: 'error' });
  const { health, shown, name } = await (await ask('?data=documents')).json();
  assert.equal(name, 'Ada');
  assert.equal(health.live, true);
  assert.equal(shown.documents.find(({ id }) => id === documentId)?.members, 1, JSON.stringify(shown));
  assert.equal((await fetch(new URL('?data=documents', page.url))).status, 403);

  const body = JSON.stringify({ action: 'recheckAccess', documentId });
  const post = (headers) => fetch(page.url, { method: 'POST', body, headers, redirect: 'error' });
  const { origin } = new URL(page.url);
  const json = { 'content-type': 'application/json' };
  assert.equal((await post({ ...json, origin })).status, 403);
  assert.equal((await post({ ...json, ...ADMIN, origin: 'https://elsewhere.example' })).status, 403);
  assert.equal((await post({ ...ADMIN, origin, 'content-type': 'text/plain' })).status, 415);
  const done = await post({ ...json, ...ADMIN, origin });
  // None of its connections has a user, about whom the app could be asked.
  assert.deepEqual([done.status, await done.json()], [200, { result: 0 }]);
}
