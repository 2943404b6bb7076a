// Next's own pages, with and without 50,000 deliveries a second beside them in the same process.
import { median, medianRatio } from '../lib/statistics.mjs';

const p99 = (measured) => measured.page.p99_us;
const pages = (time) => ({ mode: 'pages', target: '/', warm_ms: time(2000), measure_ms: time(8000), pause_ms: 3 });
/** 100 documents × 55.6 messages a second × 9 receivers. */
const deliveries = (time) => ({
  mode: 'steady',
  documents: 100,
  members: 10,
  writers: 1,
  rate: 55.6,
  warm_ms: time(1500),
  measure_ms: time(10_500),
});

async function both({ load, time }) {
  const [measured, background] = await Promise.all([load(pages(time)), load(deliveries(time))]);
  return { ...measured, background: { deliveries: background.deliveries, seconds: background.seconds } };
}

export default {
  id: 'pages',
  title: "Next's own pages beside 50,000 deliveries/s",
  rounds: 3,
  runs: {
    without: { server: 'next', measure: ({ load, time }) => load(pages(time)) },
    with: { server: 'next', measure: both },
  },
  rows: (runs) => [
    {
      what: "Next's p99 for a page with 50,000 deliveries/s ÷ without",
      target: 1.2,
      reached: medianRatio(runs.with.map(p99), runs.without.map(p99)),
    },
  ],
  figures: (runs) =>
    ['without', 'with'].map((run) => ({
      server: 'hub',
      what: `p99 of a page ${run} deliveries`,
      value: median(runs[run].map(p99)) / 1000,
      unit: 'ms',
    })),
};
