// 1,000 documents of 10 members with one writer each, and the same total rate in 100 documents.
import { cpuPerDelivery, median, medianRatio, userPerDelivery } from '../lib/statistics.mjs';
import { userTime } from '../lib/user-time.mjs';

const MEMBERS = 10;
const CONNECTS_A_SECOND = 4000;

/** Documents and messages a second of each writer: 5,000 messages a second in all. */
const MANY = { documents: 1000, rate: 5 };
const FEW = { documents: 100, rate: 50 };

async function measure({ load, pid, time }, { documents, rate }) {
  const [warm, length] = [time(2000), time(12_000)];
  const joining = ((documents * MEMBERS) / CONNECTS_A_SECOND) * 1000;
  const [measured, sampled] = await Promise.all([
    load({
      mode: 'steady',
      documents,
      members: MEMBERS,
      writers: 1,
      rate,
      spin: true,
      per_second: CONNECTS_A_SECOND,
      warm_ms: warm,
      measure_ms: length,
    }),
    // Inside the window of the load, wherever that begins exactly.
    userTime(pid, { after: joining + warm + length / 10, length: (length * 7) / 10 }),
  ]);
  return { ...measured, sampled_user_ns: sampled };
}

const run = (server, what) => ({ server, measure: (tools) => measure(tools, what) });

export default {
  id: 'documents',
  title: '1,000 documents of 10 members',
  rounds: 3,
  pinned: true,
  runs: {
    hub: run('hub', MANY),
    hubScraped: run('hubScraped', MANY),
    ws: run('ws', MANY),
    bareEach: run('bareEach', MANY),
    hub100: run('hub', FEW),
    bareEach100: run('bareEach', FEW),
  },
  rows: ({ hub, hubScraped, ws, bareEach, hub100, bareEach100 }) => {
    const growth = (many, few, of) => medianRatio(many.map(of), few.map(of)).toFixed(2);
    const sampled = [...hub, ...hub100].every(({ sampled_user_ns: sampled }) => sampled);
    return [
      {
        what: 'CPU a delivery, 1,000 documents × 10 members, 5 messages/s each ÷ ws',
        target: 0.6,
        reached: medianRatio(hub.map(cpuPerDelivery), ws.map(cpuPerDelivery)),
        note: `bare loop ÷ ws: ${growth(bareEach, ws, cpuPerDelivery)}`,
      },
      {
        what: 'CPU a delivery, 1,000 documents, metricsText() once a second ÷ never',
        target: 1.02,
        reached: medianRatio(hubScraped.map(cpuPerDelivery), hub.map(cpuPerDelivery)),
      },
      {
        what: 'CPU in user space a delivery, 1,000 ÷ 100 documents, same total rate',
        target: 1.1,
        below: true,
        reached: medianRatio(hub.map(userPerDelivery), hub100.map(userPerDelivery)),
        note:
          `bare loop: ${growth(bareEach, bareEach100, userPerDelivery)}; ` +
          `all CPU: ${growth(hub, hub100, cpuPerDelivery)}, bare loop: ${growth(bareEach, bareEach100, cpuPerDelivery)}` +
          (sampled ? '' : '; without perf, so only as exact as clock ticks'),
      },
    ];
  },
  figures: (runs) =>
    Object.entries(runs).flatMap(([run, measured]) => {
      const server = run.replace(/100$/, '');
      const documents = run.endsWith('100') ? '100 documents' : '1,000 documents';
      return [
        { server, what: `CPU a delivery, ${documents}`, value: median(measured.map(cpuPerDelivery)), unit: 'µs' },
        {
          server,
          what: `user space a delivery, ${documents}`,
          value: median(measured.map(userPerDelivery)),
          unit: 'µs',
        },
      ];
    }),
};
