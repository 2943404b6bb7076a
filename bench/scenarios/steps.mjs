// A document with an authority and 50 members, one of them writes: what a batch costs until everybody has it, beside the same
// authority in Node. Stored, the control syncs each batch to its file; the hub commits what came meanwhile together.
import { runsOf } from '../lib/runs.mjs';
import { median, medianRatio } from '../lib/statistics.mjs';

const MEMBERS = 50;

const measure =
  (steps) =>
  ({ load, time }) =>
    load({ mode: 'fanout', steps, members: MEMBERS, in_flight: [1, 8], warm_ms: time(700), measure_ms: time(2000) });

const runs = {
  ...runsOf(['hub-steps', 'authority', 'hub-steps-stored', 'authority-stored'], measure(true)),
  ...runsOf(['bareEach', 'bareBatch'], measure(false)),
};

const WAYS = [
  ['', 'in memory'],
  ['-stored', 'stored'],
];

/** What as many writes take and nothing else, for each message or for all that one read brought. */
const BARE = { 1: 'bareEach', 8: 'bareBatch' };

/** Processor time of a batch with all its deliveries, in microseconds. */
const cpu = (inFlight) => (measured) => {
  const { server, deliveries } = measured.find((one) => one.in_flight === inFlight);
  return (server.total_ns * MEMBERS) / deliveries / 1000;
};

export default {
  id: 'steps',
  title: `A document with an authority and ${MEMBERS} members`,
  rounds: 5,
  pinned: true,
  runs,
  rows: (measured) =>
    WAYS.flatMap(([way, words]) =>
      [1, 8].map((inFlight) => {
        const ratio = (server) =>
          medianRatio(measured[server].map(cpu(inFlight)), measured[`authority${way}`].map(cpu(inFlight)));
        return {
          what: `CPU of a batch to ${MEMBERS} members, ${inFlight} in flight, ${words} ÷ an authority in Node`,
          target: 1 / 4,
          reached: ratio(`hub-steps${way}`),
          note: `bare loop: ${ratio(BARE[inFlight]).toFixed(2)}`,
        };
      }),
    ),
  figures: (measured) =>
    Object.entries(measured).flatMap(([server, all]) =>
      [1, 8].map((inFlight) => ({
        server,
        what: `CPU of a batch to ${MEMBERS} members, ${inFlight} in flight`,
        value: median(all.map(cpu(inFlight))),
        unit: 'µs',
      })),
    ),
};
