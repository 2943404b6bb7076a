// 50 documents of 10 members at an easy rate, in one process and spread over two that share a Redis: how much later what is
// published arrives.
import { runsOf } from '../lib/runs.mjs';
import { median } from '../lib/statistics.mjs';

const late = (of) => (measured) => measured.each[of] / 1000;

export default {
  id: 'several-steady',
  title: 'an easy rate over two processes',
  rounds: 3,
  runs: runsOf(['hub', 'hub-two', 'socketio-streams', 'socketio-pubsub'], ({ load, time }) =>
    load({
      mode: 'steady',
      documents: 50,
      members: 10,
      writers: 1,
      rate: 4,
      warm_ms: time(1000),
      measure_ms: time(5000),
    }),
  ),
  rows: (runs) => [
    {
      what: 'p99 of a delivery at an easy rate, over two processes − in one',
      target: 2,
      unit: 'ms',
      reached: median(runs['hub-two'].map((two, round) => late('p99_us')(two) - late('p99_us')(runs.hub[round]))),
    },
  ],
  figures: (runs) =>
    Object.entries(runs).flatMap(([server, measured]) =>
      ['p50_us', 'p99_us'].map((of) => ({
        server,
        what: `until a member has it at an easy rate, ${of.slice(0, 3)}`,
        value: median(measured.map(late(of))),
        unit: 'ms',
      })),
    ),
};
