// Echo through a handler in TypeScript, one message under way on each of 1, 100 and 1,000 connections.
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const SIZES = [1, 100, 1000];

const run = (server, connections) => ({
  server,
  measure: ({ load, time }) => load({ mode: 'echo', connections, warm_ms: time(700), measure_ms: time(1500) }),
});

const words = (connections) => (connections === 1 ? '1 connection' : `${connections.toLocaleString('en')} connections`);

/** What it takes to have one thread read and another answer, where nothing shares the waking: of what ws takes for all. */
function secondThread({ one, two, ws1 }) {
  const more = two.map((measured, round) => cpuPerDelivery(measured) - cpuPerDelivery(one[round]));
  return `a second thread by itself: ${medianRatio(more, ws1.map(cpuPerDelivery)).toFixed(2)} of ws`;
}

export default {
  id: 'echo',
  title: 'Echo through a handler in TypeScript',
  rounds: 13,
  pinned: true,
  runs: {
    ...Object.fromEntries(
      SIZES.flatMap((connections) => [
        [`hub${connections}`, run('hub-echo', connections)],
        [`ws${connections}`, run('ws-echo', connections)],
      ]),
    ),
    one: run('bareEchoOne', 1),
    two: run('bareEchoTwo', 1),
  },
  rows: (runs) =>
    SIZES.map((connections) => ({
      what: `CPU a message, echo through a TypeScript handler, ${words(connections)} ÷ ws`,
      target: 1,
      reached: medianRatio(runs[`hub${connections}`].map(cpuPerDelivery), runs[`ws${connections}`].map(cpuPerDelivery)),
      note: connections === 1 ? secondThread(runs) : undefined,
    })),
  figures: (runs) => [
    ...SIZES.flatMap((connections) =>
      ['hub', 'ws'].map((server) => figure(server, connections, runs[`${server}${connections}`])),
    ),
    figure('bareEchoOne', 1, runs.one),
    figure('bareEchoTwo', 1, runs.two),
  ],
};

function figure(server, connections, measured) {
  return {
    server,
    what: `CPU a message, echo through a TypeScript handler, ${words(connections)}`,
    value: median(measured.map(cpuPerDelivery)),
    unit: 'µs',
  };
}
