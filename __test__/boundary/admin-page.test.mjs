// What the admin page makes of numbers, names and addresses, and that its one file is up to date.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { pathOf, roundUp } from '../../js/admin/page/chart.mjs';
import { age, bytes, milliseconds, plural, short, visible } from '../../js/admin/page/format.mjs';
import { link, place } from '../../js/admin/page/links.mjs';
import { problems } from '../../js/admin/page/problems.mjs';
import { Series, WINDOW_MS, extent, quantile } from '../../js/admin/page/series.mjs';
import { ROOT } from '../support/hub-server.mjs';
import { run } from '../support/processes.mjs';

const { FILES, REFUSED, SHELL } = createRequire(import.meta.url)('../../js/admin/assets.js');

const buckets = (...counts) => counts.map((count, index) => ({ le: [1, 10, 100, null][index], count }));
const sample = (messagesIn, of = buckets(0, 0, 0, 0)) => ({
  gauges: { connections: messagesIn, waitingBytes: 0, historyShare: 0 },
  counters: { messagesIn, failedSaves: 0, failedCommits: 0, failedCalls: 0, slowCloses: 0, refusals: 0 },
  histograms: { loopDelay: of },
});

test('the file with the page is what its parts make', async () => {
  await run('admin-page', process.execPath, ['scripts/admin-page.mjs', '--check'], { cwd: ROOT });
});

test('the page writes no markup, evaluates no text and names no other place', () => {
  const script = FILES['admin.js'].text;
  assert.doesNotMatch(
    script,
    /innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|\beval\b|new Function|srcdoc/,
  );
  const addresses = [script, FILES['admin.css'].text, SHELL, REFUSED.html]
    .join('\n')
    .match(/\bhttps?:[^'"\s]*|url\([^)]*\)/g);
  assert.deepEqual([...new Set(addresses)], ['http://www.w3.org/2000/svg'], 'only the name of a namespace');
  assert.doesNotMatch(SHELL, /<style|style=|\son\w+=|<script(?![^>]*\ssrc=)/);
});

test('the page and its style together stay small', (t) => {
  const size = Object.values(FILES).reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  t.diagnostic(`${size} bytes`);
  assert.ok(size < 80_000, `${size}`);
});

test('a rate is what a counter grew by in a second, and none where it fell', () => {
  const series = new Series();
  for (const [at, messages] of [
    [1000, 10],
    [3000, 30],
    [4000, 5],
    [5000, 6],
  ])
    series.add(at, sample(messages));
  assert.deepEqual(series.rate('messagesIn'), [
    { at: 3000, value: 10 },
    { at: 4000, value: null },
    { at: 5000, value: 1 },
  ]);
  assert.equal(series.grown('messagesIn'), 21);
});

test('a hole between two answers is no line, and what is older than the window is forgotten', () => {
  const series = new Series();
  series.add(0, sample(0));
  series.add(60_000, sample(60));
  assert.deepEqual(series.rate('messagesIn'), [{ at: 60_000, value: null }]);
  series.add(WINDOW_MS + 1000, sample(61));
  assert.equal(series.length, 2);
  series.add(WINDOW_MS + 1000, sample(99));
  assert.equal(series.length, 2, 'an answer that came twice counts once');
});

test('a quantile lies in its bucket, above the last bound it is that bound, and of nothing there is none', () => {
  const none = buckets(0, 0, 0, 0);
  assert.equal(quantile(none, none, 0.5), null);
  assert.equal(quantile(none, buckets(10, 10, 10, 10), 0.5), 0.5);
  assert.equal(quantile(none, buckets(0, 10, 10, 10), 0.5), 5.5);
  assert.equal(quantile(none, buckets(0, 0, 0, 10), 0.5), 100);
  assert.equal(
    quantile(buckets(90, 90, 90, 90), buckets(90, 100, 100, 100), 1),
    10,
    'what was there before is not counted',
  );
  assert.equal(quantile(undefined, none, 0.5), null);
  assert.deepEqual(
    extent([
      { at: 1, value: null },
      { at: 2, value: 3 },
    ]),
    { least: 3, greatest: 3, newest: 3 },
  );
  assert.equal(extent([]), undefined);
});

test('a line is broken where there is no value, and its scale ends with a round number', () => {
  const points = [
    { at: 0, value: 1 },
    { at: WINDOW_MS / 2, value: null },
    { at: WINDOW_MS, value: 2 },
  ];
  assert.equal(pathOf(points, 0, WINDOW_MS, 2), 'M0.0 50.0M600.0 0.0');
  assert.deepEqual(
    [0, 9, 11, 240, 1001].map((value) => roundUp(value, 10)),
    [10, 10, 20, 250, 2000],
  );
});

test('what a reader cannot see in a name is written out', () => {
  assert.equal(visible('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
  assert.equal(visible('a\u202eb\nc\u200bd\ud800'), 'a\\u{202e}b\\u{a}c\\u{200b}d\\u{d800}');
  assert.equal(visible('Zoë 🎉'), 'Zoë 🎉');
});

test('numbers, sizes and times are told in few digits', () => {
  assert.deepEqual([0, 0.5, 12.34, 1240, 250_000, 12_000_000, null].map(short), [
    '0',
    '0.50',
    '12.3',
    '1,240',
    '250 k',
    '12.0 M',
    '–',
  ]);
  assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(bytes), ['0 B', '1023 B', '1.5 KiB', '5.0 GiB']);
  assert.deepEqual([0.034, 4.2, 42, 420, 4200].map(milliseconds), ['0.03 ms', '4.2 ms', '42 ms', '420 ms', '4.2 s']);
  assert.deepEqual([-5, 59_000, 61_000, 3_660_000, 200_000_000].map(age), [
    '0 s',
    '59 s',
    '1 min 1 s',
    '1 h 1 min',
    '2 d 7 h',
  ]);
  assert.deepEqual([plural(1, 'time'), plural(2000, 'time')], ['1 time', '2,000 times']);
});

test('an address carries any id, leaves out what is empty, and leads to the first view where it names none', () => {
  const id = 'a&b=c#d ?é<img>';
  const { view, query } = place(link('document', { id, empty: '' }), ['overview', 'document']);
  assert.deepEqual([view, [...query]], ['document', [['id', id]]]);
  assert.equal(place('#nonsense?x=1', ['overview', 'document']).view, 'overview');
  assert.equal(place('', ['overview', 'document']).view, 'overview');
});

test('what is wrong comes with what is bad first, and nothing is wrong with a quiet hub', () => {
  const series = new Series();
  series.add(1000, sample(0));
  const health = { live: true, ready: true, reasons: [] };
  assert.deepEqual(problems({ at: 1000, health, summary: sample(0) }, series), []);
  const later = sample(0, buckets(0, 0, 0, 10));
  later.gauges = { ...later.gauges, waitingBytes: 2048, historyShare: 0.95 };
  later.counters = { ...later.counters, failedSaves: 1, failedCommits: 2, failedCalls: 4, refusals: 3, slowCloses: 1 };
  series.add(61_000, sample(0));
  series.add(91_000, later);
  const unsaved = { documents: [{ unsavedSince: 1000 }] };
  const found = problems(
    {
      at: 91_000,
      health: { live: true, ready: false, reasons: ['the hub is draining'] },
      summary: later,
      shown: { unsaved, slow: 2 },
    },
    series,
  );
  assert.deepEqual(
    found.map(({ tone, text }) => `${tone}: ${text}`),
    [
      'bad: The hub is draining.',
      'bad: Saving failed 1 time in the last 1 min 30 s.',
      'bad: Storing failed 2 times in the last 1 min 30 s.',
      'bad: A document has been unsaved for 1 min 30 s.',
      "warn: Node's thread is late by 100 ms: something in the app holds it.",
      'warn: 2 clients read too slowly; 2.0 KiB wait.',
      'warn: 1 connection was closed as too slow in the last 1 min 30 s.',
      'warn: 3 upgrades were refused in the last 1 min 30 s.',
      'warn: Handlers of the app threw 4 times in the last 1 min 30 s.',
      'warn: What is kept for those who come back fills 95 % of its room.',
    ],
  );
  const away = { live: false, ready: false, reasons: ['no hub runs in this process'] };
  assert.deepEqual(problems({ at: 1, health: away }, new Series()), [
    { tone: 'bad', text: 'No hub runs in this process.' },
  ]);
});
