// What the limits cost: the hub with all of them on and with none, one after the other in each round. Small rooms, where
// reading a message, at which limits are looked at, is the larger part of the work.
import { cpuPerDelivery, median, medianRatio } from '../lib/statistics.mjs';

const MEMBERS = [2, 100];
const plan = (members, time) => ({
  mode: 'fanout',
  members,
  in_flight: [8],
  warm_ms: time(300),
  measure_ms: time(1000),
});

export default {
  id: 'limits',
  title: 'limits on and off',
  rounds: 13,
  pinned: true,
  runs: Object.fromEntries(
    MEMBERS.flatMap((members) =>
      ['hub', 'hubUnlimited'].map((server) => [
        `${server}${members}`,
        { server, measure: ({ load, time }) => load(plan(members, time)) },
      ]),
    ),
  ),
  rows: (runs) =>
    MEMBERS.map((members) => ({
      what: `CPU a delivery, ${members} members, limits on ÷ off`,
      target: 1.05,
      reached: medianRatio(
        runs[`hub${members}`].map(([measured]) => cpuPerDelivery(measured)),
        runs[`hubUnlimited${members}`].map(([measured]) => cpuPerDelivery(measured)),
      ),
    })),
  figures: (runs) =>
    Object.entries(runs).map(([run, measured]) => ({
      server: run.replace(/\d+$/, ''),
      what: `CPU a delivery, ${/\d+$/.exec(run)[0]} members, limits on or off`,
      value: median(measured.map(([one]) => cpuPerDelivery(one))),
      unit: 'µs',
    })),
};
