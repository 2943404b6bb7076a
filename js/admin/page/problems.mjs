// What is wrong, in words, the worst first. Each says where to look.
import { age, bytes, count, milliseconds, plural } from './format.mjs';
import { link } from './links.mjs';
import { extent } from './series.mjs';

/** Node's thread is late by so much when people notice. */
const LATE_MS = 100;
/** A document that is being edited is saved well within this. */
const UNSAVED_MS = 60_000;
const NEARLY_FULL = 0.9;

/**
 * @param {{ at: number, health: object, summary?: object, shown?: object }} answer
 * @param {import('./series.mjs').Series} series
 * @returns {{ tone: 'bad' | 'warn', text: string, href?: string, words?: string }[]}
 */
export function problems({ at, health, summary, shown }, series) {
  const found = health.reasons.map((reason) => ({ tone: 'bad', text: sentence(reason) }));
  if (!summary) return found;
  const { gauges } = summary;
  const since = `in the last ${age(Math.round(series.span / 1000) * 1000)}`;
  const add = (isSo, tone, text, href, words) => isSo && found.push({ tone, text, href, words });
  const grown = (name) => series.grown(name);

  const failed = grown('failedSaves');
  add(
    failed > 0,
    'bad',
    `Saving failed ${plural(failed, 'time')} ${since}.`,
    link('documents', { sort: 'unsaved' }),
    'Unsaved documents',
  );
  const stored = grown('failedCommits');
  add(stored > 0, 'bad', `Storing failed ${plural(stored, 'time')} ${since}.`);
  const oldest = shown?.unsaved?.documents[0]?.unsavedSince;
  const unsavedMs = oldest === undefined ? 0 : at - oldest;
  const unsaved = `A document has been unsaved for ${age(unsavedMs)}.`;
  add(unsavedMs > UNSAVED_MS, 'bad', unsaved, link('documents', { sort: 'unsaved' }), 'Unsaved documents');
  const late = extent(series.quantile('loopDelay', 0.99).slice(-5))?.greatest ?? 0;
  add(late >= LATE_MS, 'warn', `Node's thread is late by ${milliseconds(late)}: something in the app holds it.`);
  const reading = shown?.slow ?? 0;
  const slow = `${plural(reading, 'client reads', 'clients read')} too slowly; ${bytes(gauges.waitingBytes)} wait.`;
  add(reading > 0, 'warn', slow, link('connections', { slow: '1', sort: 'waiting' }), 'Slow connections');
  const closed = grown('slowCloses');
  add(closed > 0, 'warn', `${plural(closed, 'connection was', 'connections were')} closed as too slow ${since}.`);
  const refused = grown('refusals');
  add(
    refused > 0,
    'warn',
    `${plural(refused, 'upgrade was', 'upgrades were')} refused ${since}.`,
    link('events'),
    'Security events',
  );
  const threw = grown('failedCalls');
  add(threw > 0, 'warn', `Handlers of the app threw ${plural(threw, 'time')} ${since}.`);
  const full = `What is kept for those who come back fills ${count(100 * gauges.historyShare)} % of its room.`;
  add(gauges.historyShare > NEARLY_FULL, 'warn', full, link('documents', { sort: 'history' }), 'Largest histories');
  return found.toSorted((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'));
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!]$/.test(text) ? '' : '.'}`;
