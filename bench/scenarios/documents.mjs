// 1,000 documents of 10 members with one writer each, and the same total rate in 100 documents.
import { cpuPerDelivery, median, medianRatio, userPerDelivery } from '../lib/statistics.mjs';

const plan = (documents, rate, time) => ({
  mode: 'steady',
  documents,
  members: 10,
  writers: 1,
  rate,
  spin: true,
  per_second: 4000,
  warm_ms: time(2000),
  measure_ms: time(10_000),
});

export default {
  id: 'documents',
  title: '1,000 documents of 10 members',
  rounds: 3,
  pinned: true,
  runs: {
    hub: { server: 'hub', measure: ({ load, time }) => load(plan(1000, 5, time)) },
    ws: { server: 'ws', measure: ({ load, time }) => load(plan(1000, 5, time)) },
    hub100: { server: 'hub', measure: ({ load, time }) => load(plan(100, 50, time)) },
  },
  rows: ({ hub, ws, hub100 }) => [
    {
      what: 'CPU a delivery, 1,000 documents × 10 members, 5 messages/s each ÷ ws',
      target: 0.6,
      reached: medianRatio(hub.map(cpuPerDelivery), ws.map(cpuPerDelivery)),
    },
    {
      what: 'CPU in user space a delivery, 1,000 ÷ 100 documents, same total rate',
      target: 1.1,
      reached: medianRatio(hub.map(userPerDelivery), hub100.map(userPerDelivery)),
      note: `all CPU: ${medianRatio(hub.map(cpuPerDelivery), hub100.map(cpuPerDelivery)).toFixed(2)}`,
    },
  ],
  figures: (runs) =>
    Object.entries(runs).map(([run, measured]) => ({
      server: run.startsWith('hub') ? 'hub' : run,
      what: `CPU a delivery, ${run === 'hub100' ? '100' : '1,000'} documents`,
      value: median(measured.map(cpuPerDelivery)),
      unit: 'µs',
    })),
};
