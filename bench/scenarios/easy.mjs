// What Redis adds to a message's way at an easy rate: one document of 100 members, 50 messages a second, in one process and over
// two.
import { runsOf } from '../lib/runs.mjs';
import { median } from '../lib/statistics.mjs';

const SERVERS = ['hub', 'hub-two', 'socketio-streams', 'socketio-pubsub'];
const p99 = (measured) => measured.last.p99_us / 1000;

export default {
  id: 'easy',
  title: '100 members, 50 messages a second, over two processes',
  rounds: 3,
  runs: runsOf(SERVERS, ({ load, time }) =>
    load({
      mode: 'steady',
      documents: 1,
      members: 100,
      writers: 1,
      rate: 50,
      warm_ms: time(1000),
      measure_ms: time(6000),
    }),
  ),
  rows: (runs) => [
    {
      what: 'p99 latency until the last of 100 members, over two processes and Redis − in one',
      target: 2,
      below: true,
      unit: 'ms',
      reached: median(runs['hub-two'].map((measured, round) => p99(measured) - p99(runs.hub[round]))),
    },
  ],
  figures: (runs) =>
    SERVERS.map((server) => ({
      server,
      what: 'p99 latency until the last of 100 members, 50 messages/s',
      value: median(runs[server].map(p99)),
      unit: 'ms',
    })),
};
