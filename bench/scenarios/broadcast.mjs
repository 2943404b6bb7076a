// A route handler sends 10 KB of steps to the 1,000 members of a document.
import { runsOf } from '../lib/runs.mjs';
import { median, medianRatio } from '../lib/statistics.mjs';

const cpu = ({ server, rounds }) => server.total_ns / rounds / 1e6;

export default {
  id: 'broadcast',
  title: 'broadcastSteps of 10 KB to 1,000 members',
  rounds: 3,
  pinned: true,
  runs: runsOf(['bareEach', 'hub', 'ws', 'socketio'], ({ load, count }) =>
    load({
      mode: 'broadcast',
      members: 1000,
      bytes: 10_240,
      warm_rounds: count(60),
      rounds: count(200),
    }),
  ),
  rows: ({ hub, bareEach }) => [
    {
      what: 'broadcastSteps of 10 KB to 1,000 members: CPU ÷ 1,000 bare sends',
      target: 1.3,
      reached: medianRatio(hub.map(cpu), bareEach.map(cpu)),
    },
    {
      what: "broadcastSteps of 10 KB to 1,000 members: Node's loop held",
      target: 0.3,
      below: true,
      unit: 'ms',
      reached: median(hub.map(({ held_p50_us: held }) => held)) / 1000,
      note: `longest ${(Math.max(...hub.map(({ held_max_us: held }) => held)) / 1000).toFixed(2)} ms`,
    },
  ],
  figures: (runs) =>
    Object.entries(runs).map(([server, measured]) => ({
      server,
      what: 'CPU a broadcast of 10 KB to 1,000',
      value: median(measured.map(cpu)),
      unit: 'ms',
    })),
};
