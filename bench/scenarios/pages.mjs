// Next's own pages, with and without 50,000 deliveries a second beside them in the same process.
import { median, medianRatio } from '../lib/statistics.mjs';

/** Next renders a page slower, and with more garbage to collect on other threads, until V8 has compiled what it needs. */
const WARM_MS = 8000;
/** In one process, in turn: a process that has begun better or worse than another is on both sides. */
const PAIRS = 3;

const pages = (measureMs, warmMs = 500) => ({
  mode: 'pages',
  target: '/',
  warm_ms: warmMs,
  measure_ms: measureMs,
  pause_ms: 3,
});
/** 100 documents × 55.6 messages a second × 9 receivers. */
const deliveries = (measureMs) => ({
  mode: 'steady',
  documents: 100,
  members: 10,
  writers: 1,
  rate: 55.6,
  warm_ms: 500,
  measure_ms: measureMs,
});

async function measure({ load, time }) {
  await load(pages(time(WARM_MS)));
  const pairs = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const without = await load(pages(time(5000)));
    // They go on for longer than the pages are asked for, and have joined before.
    const [measured, background] = await Promise.all([
      load(pages(time(5000), time(1500))),
      load(deliveries(time(7000))),
    ]);
    pairs.push({ without, with: measured, deliveries: background.deliveries, seconds: background.seconds });
  }
  return pairs;
}

/** The p99 of each pair, in milliseconds. */
const p99 = (runs, side) => runs.next.flat().map((pair) => pair[side].page.p99_us / 1000);

export default {
  id: 'pages',
  title: "Next's own pages beside 50,000 deliveries/s",
  rounds: 3,
  runs: { next: { server: 'next', measure } },
  rows: (runs) => [
    {
      what: "Next's p99 for a page with 50,000 deliveries/s ÷ without",
      target: 1.2,
      reached: medianRatio(p99(runs, 'with'), p99(runs, 'without')),
    },
  ],
  figures: (runs) =>
    ['without', 'with'].map((side) => ({
      server: 'hub',
      what: `p99 of a page ${side} deliveries`,
      value: median(p99(runs, side)),
      unit: 'ms',
    })),
};
