// A document with an authority and 50 members, one of them writes: what a batch costs until everybody has it, beside the same
// authority in Node. Stored, the control syncs each batch to its file; the hub commits what came meanwhile together.
import { runsOf } from '../lib/runs.mjs';
import { median, medianRatio } from '../lib/statistics.mjs';

const MEMBERS = 50;

const runs = runsOf(['hub-steps', 'authority', 'hub-steps-stored', 'authority-stored'], ({ load, time }) =>
  load({
    mode: 'fanout',
    steps: true,
    members: MEMBERS,
    in_flight: [1, 8],
    warm_ms: time(700),
    measure_ms: time(2000),
  }),
);

const WAYS = [
  ['', 'in memory'],
  ['-stored', 'stored'],
];

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
      [1, 8].map((inFlight) => ({
        what: `CPU of a batch to ${MEMBERS} members, ${inFlight} in flight, ${words} ÷ an authority in Node`,
        target: 1 / 4,
        reached: medianRatio(
          measured[`hub-steps${way}`].map(cpu(inFlight)),
          measured[`authority${way}`].map(cpu(inFlight)),
        ),
      })),
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
