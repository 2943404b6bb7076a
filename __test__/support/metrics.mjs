// Metrics as tests look at them: that what is caused moves them.
import assert from 'node:assert/strict';
import { metrics } from '../../js/index.js';
import { until } from './processes.mjs';

/** The values of a metric that have these labels, added up; of a histogram how many values there were. */
export function value(name, labels = {}) {
  const metric = metrics().find((one) => one.name === name);
  assert.ok(metric, `there is no ${name}`);
  const has = (of) => Object.entries(labels).every(([label, wanted]) => of[label] === wanted);
  const found = metric.values.filter((one) => has(one.labels));
  assert.ok(found.length > 0, `${name} has no ${JSON.stringify(labels)}`);
  return found.reduce((sum, one) => sum + (one.value ?? one.count), 0);
}

/** Metrics that a test has moved. */
export const moved = new Set();

/** Does `cause`, which must move the metrics; each is a name, or a name and labels, and by default grows. */
export async function moves(changes, cause, has = (now, before) => now > before) {
  const watched = changes.map((change) => [change].flat());
  const before = watched.map((of) => value(...of));
  const answer = await cause();
  for (const [index, of] of watched.entries()) {
    const what = () => `${of[0]} ${JSON.stringify(of[1] ?? {})} to move from ${before[index]}, it is ${value(...of)}`;
    await until(what, () => has(value(...of), before[index]), { everyMs: 5, timeoutMs: 20_000 });
    moved.add(of[0]);
  }
  return answer;
}
