'use strict';

// The numbers of the page at a glance, out of all that the hub counts: little enough to be sent every other second.

/** By the page's names: the metric, and of which labels where not of all. */
const GAUGES = {
  connections: ['hub_connections'],
  documents: ['hub_documents'],
  members: ['hub_members'],
  remembered: ['hub_documents_remembered'],
  waitingBytes: ['hub_waiting_bytes'],
  historyBytes: ['hub_history_bytes'],
  historyShare: ['hub_history_used_ratio'],
  unsaved: ['hub_documents_unsaved'],
  upgradesWaiting: ['hub_upgrades_waiting'],
  streams: ['hub_agent_streams'],
};

const COUNTERS = {
  messagesIn: ['hub_received_messages_total'],
  messagesOut: ['hub_sent_messages_total'],
  bytesIn: ['hub_received_bytes_total'],
  bytesOut: ['hub_sent_bytes_total'],
  slowCloses: ['hub_slow_closes_total'],
  refusals: ['hub_refused_total'],
  failedCalls: ['hub_handler_failures_total'],
  failedSaves: ['hub_saves_total', { outcome: 'error' }],
  failedCommits: ['hub_store_commits_total', { outcome: 'error' }],
};

/** In seconds, as Prometheus has them; the page has milliseconds. */
const HISTOGRAMS = {
  admission: ['hub_admission_seconds'],
  loopDelay: ['hub_event_loop_delay_seconds'],
  threadDelay: ['hub_thread_delay_seconds'],
};

/**
 * What is not counted, such as a store where there is none, is left out.
 *
 * @param {import('../../monitoring.js').Metric[]} metrics
 */
function summary(metrics) {
  const named = new Map(metrics.map((metric) => [metric.name, metric]));
  const each = (names, read) =>
    Object.fromEntries(
      Object.entries(names).flatMap(([name, [metric, labels = {}]]) => {
        const values = named.get(metric)?.values.filter((value) => has(value.labels, labels));
        return values ? [[name, read(values)]] : [];
      }),
    );
  return { gauges: each(GAUGES, sum), counters: each(COUNTERS, sum), histograms: each(HISTOGRAMS, buckets) };
}

const has = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

const sum = (values) => values.reduce((total, { value }) => total + value, 0);

/** Of all labels together, with what is above the last bound as the bucket without one. */
function buckets(values) {
  const of = (read) => values.reduce((total, each) => total + read(each), 0);
  const bounded = (values[0]?.buckets ?? []).map(({ le }, index) => ({
    le: le * 1000,
    count: of((each) => each.buckets[index].count),
  }));
  return [...bounded, { le: null, count: of(({ count }) => count) }];
}

module.exports = { COUNTERS, GAUGES, HISTOGRAMS, summary };
