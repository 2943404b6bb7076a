// 10,000 clients come at once, as after a restart.
import { runsOf } from '../lib/runs.mjs';
import { median, medianRatio } from '../lib/statistics.mjs';

const cpu = ({ server, connections }) => server.total_ns / connections / 1000;
const p99 = ({ connected }) => connected.p99_us / 1000;

export default {
  id: 'storm',
  title: 'connect storm of 10,000',
  rounds: 9,
  pinned: true,
  runs: runsOf(['bareUpgrade', 'hub', 'ws', 'socketio'], ({ load }) =>
    load({ mode: 'storm', connections: 10_000, under_way: 2000, churn: 10 }),
  ),
  rows: ({ hub, ws, bareUpgrade }) => [
    { what: 'connect storm of 10,000: CPU a connect', target: 100, unit: 'µs', reached: median(hub.map(cpu)) },
    {
      what: 'connect storm of 10,000: refused',
      target: 0,
      unit: 'clients',
      reached: Math.max(...hub.map(({ refused }) => refused)),
      note: hub.find(({ reason }) => reason)?.reason,
    },
    {
      what: 'connect storm of 10,000: p99 to connected ÷ ws',
      target: 0.5,
      reached: medianRatio(hub.map(p99), ws.map(p99)),
      note: `Node's own part ÷ ws: ${medianRatio(bareUpgrade.map(p99), ws.map(p99)).toFixed(2)}`,
    },
  ],
  figures: (runs) =>
    Object.entries(runs).flatMap(([server, measured]) => [
      { server, what: 'CPU a connect, storm', value: median(measured.map(cpu)), unit: 'µs' },
      { server, what: 'p99 to connected, storm', value: median(measured.map(p99)), unit: 'ms' },
    ]),
};
