// What 10,000 connections that do nothing take in user space.
import { runsOf } from '../lib/runs.mjs';
import { median } from '../lib/statistics.mjs';

const kilobytes = ({ before, after, connections }) => (after.anonymous - before.anonymous) / connections / 1024;

export default {
  id: 'memory',
  title: 'memory of 10,000 idle connections',
  rounds: 3,
  pinned: true,
  // The young generation at its full size from the start. It would grow by some 14 MB while the connections come, once in
  // the life of a process, and be counted as 1.4 KB of each.
  flags: ['--min-semi-space-size=16'],
  runs: runsOf(['hub', 'ws', 'socketio'], ({ load }) =>
    load({ mode: 'idle', connections: 10_000, per_second: 4000, churn: 60, gc: true }),
  ),
  rows: ({ hub }) => [
    {
      what: 'resident memory an idle connection in user space, 10,000 of them',
      target: 2.5,
      unit: 'KB',
      reached: median(hub.map(kilobytes)),
    },
  ],
  figures: (runs) =>
    Object.entries(runs).map(([server, measured]) => ({
      server,
      what: 'memory an idle connection',
      value: median(measured.map(kilobytes)),
      unit: 'KB',
    })),
};
