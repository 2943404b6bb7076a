// One document of 100 members spread over two processes that share a Redis: what a delivery costs the processes, and a
// publication Redis, beside Socket.IO with both of its adapters for Redis.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bench } from '../lib/paths.mjs';
import { runsOf } from '../lib/runs.mjs';
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const MEMBERS = 100;
const TWO = ['hub-two', 'socketio-streams', 'socketio-pubsub'];

const at = (inFlight) => (measured) => measured.find((one) => one.in_flight === inFlight);
const cpu = (inFlight) => (measured) => cpuPerDelivery(at(inFlight)(measured));
/** Redis' processor time a publication, in microseconds. */
const redis = (inFlight) => (measured) => {
  const { shared, deliveries } = at(inFlight)(measured);
  return shared.total_ns / (deliveries / (MEMBERS - 1)) / 1000;
};

const floor = {
  async measure({ time }) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(bench, 'control/redis-loop.mjs'),
      String(time(2500)),
    ]);
    return JSON.parse(stdout);
  },
};

export default {
  id: 'several',
  title: `${MEMBERS} members over two processes`,
  rounds: 5,
  pinned: true,
  runs: {
    ...runsOf(['hub', ...TWO], ({ load, time }) =>
      load({
        mode: 'fanout',
        members: MEMBERS,
        in_flight: [1, 8],
        warm_ms: time(700),
        measure_ms: time(2500),
      }),
    ),
    floor,
  },
  rows: (runs) => [
    ...[1, 8].map((inFlight) => ({
      what: `CPU a delivery, ${inFlight} in flight, ${MEMBERS} members over two processes ÷ in one`,
      target: 1.15,
      reached: medianRatio(runs['hub-two'].map(cpu(inFlight)), runs.hub.map(cpu(inFlight))),
    })),
    {
      what: "Redis' CPU a publication, 8 in flight ÷ Socket.IO's adapter for streams",
      target: 0.5,
      reached: medianRatio(runs['hub-two'].map(redis(8)), runs['socketio-streams'].map(redis(8))),
    },
  ],
  figures: (runs) => [
    ...['hub', ...TWO].flatMap((server) =>
      [1, 8].map((inFlight) => ({
        server,
        what: `CPU a delivery, ${inFlight} in flight, in one process or two`,
        value: median(runs[server].map(cpu(inFlight))),
        unit: 'µs',
      })),
    ),
    ...TWO.flatMap((server) =>
      [1, 8].map((inFlight) => ({
        server,
        what: `Redis' CPU a publication, ${inFlight} in flight`,
        value: median(runs[server].map(redis(inFlight))),
        unit: 'µs',
      })),
    ),
    {
      server: 'bare script loop',
      what: "Redis' CPU a publication, 8 in flight",
      value: median(runs.floor.map(({ redis_ns }) => redis_ns / 1000)),
      unit: 'µs',
    },
  ],
};
