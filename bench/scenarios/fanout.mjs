// One document of 100 members, one of them writes: the price of a delivery, with one and with eight messages under way.
import { runsOf } from '../lib/runs.mjs';
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const cpu = (inFlight) => (measured) => cpuPerDelivery(measured.find((one) => one.in_flight === inFlight));

export default {
  id: 'fanout',
  title: 'fan-out to 100 members',
  rounds: 5,
  pinned: true,
  runs: runsOf(['bareEach', 'bareBatch', 'hub', 'ws', 'socketio'], ({ load, time }) =>
    load({
      mode: 'fanout',
      members: 100,
      in_flight: [1, 8],
      warm_ms: time(700),
      measure_ms: time(2500),
    }),
  ),
  rows: ({ hub, bareEach, bareBatch, ws }) => [
    {
      what: 'CPU a delivery, 1 in flight, 100 members ÷ bare send() loop',
      target: 1.12,
      reached: medianRatio(hub.map(cpu(1)), bareEach.map(cpu(1))),
    },
    {
      what: 'CPU a delivery, 8 in flight, 100 members ÷ bare loop that batches',
      target: 1.1,
      reached: medianRatio(hub.map(cpu(8)), bareBatch.map(cpu(8))),
    },
    {
      what: 'CPU a delivery, 8 in flight, 100 members ÷ ws',
      target: 1 / 6,
      reached: medianRatio(hub.map(cpu(8)), ws.map(cpu(8))),
    },
  ],
  figures: (runs) =>
    Object.entries(runs).flatMap(([server, measured]) =>
      [1, 8].map((inFlight) => ({
        server,
        what: `CPU a delivery, ${inFlight} in flight`,
        value: median(measured.map(cpu(inFlight))),
        unit: 'µs',
      })),
    ),
};
