// An agent's answer that 200 watch: what a chunk costs that is delivered to one of them, published to a room and sent to each
// by itself. One chunk at a time is what text is that was rolled up; eight together are what a busy model's connection
// brings of anything else. The bare loop is the least that the writes alone take, one a chunk and watcher.
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const THREADS = 5;
const WATCHERS = 200;

const WORDS = { one: '1 chunk at a time', eight: '8 chunks at a time' };

const run = (server) => ({
  server,
  measure: ({ load, time }) =>
    load({ mode: 'watchers', threads: THREADS, watchers: WATCHERS, warm_ms: time(1500), measure_ms: time(4000) }),
});

/** One document of as many members, one message under way. */
const bare = {
  server: 'bareEach',
  measure: async ({ load, time }) => {
    const [measured] = await load({
      mode: 'fanout',
      members: WATCHERS,
      in_flight: [1],
      warm_ms: time(700),
      measure_ms: time(2500),
    });
    return measured;
  },
};

/** Processor time of Node's thread a delivered message, in microseconds. */
const nodePerDelivery = ({ server, deliveries }) => server.first_thread_ns / deliveries / 1000;

export default {
  id: 'watchers',
  title: 'An agent stream with 200 watchers',
  rounds: 5,
  pinned: true,
  runs: {
    one: run('hub-watchers'),
    oneEach: run('hub-watchers-each'),
    eight: run('hub-watchers-burst'),
    eightEach: run('hub-watchers-burst-each'),
    bare,
  },
  rows: (runs) =>
    Object.entries(WORDS).flatMap(([way, words]) => {
      const each = runs[`${way}Each`];
      const row = (what, cost, note) => ({
        what: `${what} a delivered chunk, ${WATCHERS} watchers, ${words} ÷ sent to each by itself`,
        target: 1 / 3,
        reached: medianRatio(runs[way].map(cost), each.map(cost)),
        note,
      });
      const least = `bare send() loop: ${medianRatio(runs.bare.map(cpuPerDelivery), each.map(cpuPerDelivery)).toFixed(2)}`;
      return [
        row("CPU of Node's thread", nodePerDelivery),
        row('CPU', cpuPerDelivery, way === 'one' ? least : undefined),
      ];
    }),
  figures: (runs) =>
    Object.entries(WORDS).flatMap(([way, words]) =>
      [
        [way, ''],
        [`${way}Each`, ', sent to each by itself'],
      ].flatMap(([name, how]) => [
        figure('CPU a delivered chunk', words + how, median(runs[name].map(cpuPerDelivery))),
        figure("CPU of Node's thread a delivered chunk", words + how, median(runs[name].map(nodePerDelivery))),
      ]),
    ),
};

function figure(what, how, value) {
  return { server: 'hub', what: `${what}, ${WATCHERS} watchers, ${how}`, value, unit: 'µs' };
}
