// One document in which everyone writes: 50 members, 10 messages a second each.
import { runsOf } from '../lib/runs.mjs';
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

export default {
  id: 'writers',
  title: '50 members who all write',
  rounds: 3,
  pinned: true,
  runs: runsOf(['bareEach', 'hub', 'ws', 'socketio'], ({ load, time }) =>
    load({
      mode: 'steady',
      documents: 1,
      members: 50,
      writers: 50,
      rate: 10,
      spin: true,
      warm_ms: time(1500),
      measure_ms: time(5000),
    }),
  ),
  rows: ({ hub, ws, bareEach }) => [
    {
      what: 'CPU a delivery, one document, 50 members, each 10 messages/s ÷ ws',
      target: 0.6,
      reached: medianRatio(hub.map(cpuPerDelivery), ws.map(cpuPerDelivery)),
      note: `bare loop ÷ ws: ${medianRatio(bareEach.map(cpuPerDelivery), ws.map(cpuPerDelivery)).toFixed(2)}`,
    },
  ],
  figures: (runs) =>
    Object.entries(runs).map(([server, measured]) => ({
      server,
      what: 'CPU a delivery, 50 writers',
      value: median(measured.map(cpuPerDelivery)),
      unit: 'µs',
    })),
};
