// The fabric endpoint with and without a hundred busy agent streams beside it: 10,000 tokens a second, rolled up.
import { median } from '../lib/statistics.mjs';

const STREAMS = 100;

const fabric = (time) => ({
  mode: 'steady',
  documents: 20,
  members: 10,
  writers: 1,
  rate: 10,
  warm_ms: time(2000),
  measure_ms: time(8000),
});
/** Longer on both sides, so that there is no moment of the measurement without streams. */
const streams = (time) => ({ mode: 'streams', streams: STREAMS, warm_ms: time(1000), measure_ms: time(11_000) });
const p99 = (measured) => measured.last.p99_us / 1000;

async function beside({ load, time }) {
  const [measured, answers] = await Promise.all([load(fabric(time)), load(streams(time))]);
  return { ...measured, answers };
}

export default {
  id: 'agents',
  title: 'a hundred busy agent streams',
  rounds: 3,
  runs: {
    without: { server: 'hub-agents', measure: ({ load, time }) => load(fabric(time)) },
    with: { server: 'hub-agents', measure: beside },
  },
  rows: (runs) => [
    {
      what: `p99 latency of the fabric endpoint, with ${STREAMS} busy agent streams − without`,
      target: 2,
      unit: 'ms',
      reached: median(runs.with.map((measured, round) => p99(measured) - p99(runs.without[round]))),
    },
  ],
  figures: (runs) => [
    ...['without', 'with'].map((run) => ({
      server: 'hub',
      what: `p99 latency, ${run} ${STREAMS} busy agent streams`,
      value: median(runs[run].map(p99)),
      unit: 'ms',
    })),
    {
      server: 'hub',
      what: `messages a second that ${STREAMS} agent streams of 100 tokens/s make`,
      value: median(runs.with.map(({ answers }) => answers.chunks / answers.seconds)),
      unit: '1/s',
    },
  ],
};
