// Echo through a handler in TypeScript, one message under way on each of 1, 100 and 1,000 connections.
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const SIZES = [1, 100, 1000];

const run = (server, connections) => ({
  server,
  measure: ({ load, time }) => load({ mode: 'echo', connections, warm_ms: time(2000), measure_ms: time(5000) }),
});

const words = (connections) => (connections === 1 ? '1 connection' : `${connections.toLocaleString('en')} connections`);

export default {
  id: 'echo',
  title: 'Echo through a handler in TypeScript',
  rounds: 5,
  pinned: true,
  runs: Object.fromEntries(
    SIZES.flatMap((connections) => [
      [`hub${connections}`, run('hub-echo', connections)],
      [`ws${connections}`, run('ws-echo', connections)],
    ]),
  ),
  rows: (runs) =>
    SIZES.map((connections) => ({
      what: `CPU a message, echo through a TypeScript handler, ${words(connections)} ÷ ws`,
      target: 1,
      reached: medianRatio(runs[`hub${connections}`].map(cpuPerDelivery), runs[`ws${connections}`].map(cpuPerDelivery)),
    })),
  figures: (runs) =>
    SIZES.flatMap((connections) =>
      ['hub', 'ws'].map((server) => ({
        server,
        what: `CPU a message, echo through a TypeScript handler, ${words(connections)}`,
        value: median(runs[`${server}${connections}`].map(cpuPerDelivery)),
        unit: 'µs',
      })),
    ),
};
