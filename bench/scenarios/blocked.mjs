// Node's loop is blocked 500 ms of every second, as by a heavy render: do messages between clients wait for it?
import { median, medianRatio } from '../lib/statistics.mjs';

const plan = (time, block) => ({
  mode: 'steady',
  documents: 20,
  members: 10,
  writers: 1,
  rate: 10,
  warm_ms: time(1000),
  measure_ms: time(8000),
  ...block,
});
const p99 = (measured) => measured.last.p99_us;
const blocked = { block_ms: 500 };

export default {
  id: 'blocked',
  title: "Node's loop blocked 500 ms of every second",
  rounds: 3,
  runs: {
    idle: { server: 'hub', measure: ({ load, time }) => load(plan(time, {})) },
    blocked: { server: 'hub', measure: ({ load, time }) => load(plan(time, blocked)) },
    ws: { server: 'ws', measure: ({ load, time }) => load(plan(time, blocked)) },
  },
  rows: (runs) => [
    {
      what: "p99 latency, Node's loop blocked 500 ms of every second ÷ idle",
      target: 2,
      reached: medianRatio(runs.blocked.map(p99), runs.idle.map(p99)),
    },
    {
      what: "p99 latency, Node's loop blocked 500 ms of every second",
      target: 3,
      below: true,
      unit: 'ms',
      reached: median(runs.blocked.map(p99)) / 1000,
    },
  ],
  figures: (runs) =>
    [
      ['idle', 'hub', 'idle'],
      ['blocked', 'hub', 'loop blocked'],
      ['ws', 'ws', 'loop blocked'],
    ].map(([run, server, what]) => ({
      server,
      what: `p99 latency, ${what}`,
      value: median(runs[run].map(p99)) / 1000,
      unit: 'ms',
    })),
};
