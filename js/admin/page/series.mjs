// What the last minutes were like: the summaries that came, and rates and shares by the differences between them.

/** So long a summary is kept. */
export const WINDOW_MS = 5 * 60_000;
/** What a plot begins with. */
const SHORTEST_MS = 60_000;
/** A wider hole between two summaries is no line in a plot. */
const HOLE_MS = 45_000;

export class Series {
  #samples = [];

  get length() {
    return this.#samples.length;
  }

  get last() {
    return this.#samples.at(-1);
  }

  /** A summary as it came, with the server's time. */
  add(at, { gauges, counters, histograms }) {
    const { last } = this;
    if (at === last?.at) return;
    // Another clock: what there is has no place beside it.
    if (at < last?.at) this.#samples = [];
    this.#samples.push({ at, gauges, counters, histograms });
    while (this.#samples[0].at < at - WINDOW_MS) this.#samples.shift();
  }

  /** Points of a number of the moment. */
  gauge(name) {
    return this.#samples.map(({ at, gauges }) => ({ at, value: gauges[name] ?? null }));
  }

  /** Points of how much a counter grew in a second. */
  rate(name) {
    return this.#pairs((before, after) => {
      const grown = after.counters[name] - before.counters[name];
      return grown >= 0 ? (grown * 1000) / (after.at - before.at) : null;
    });
  }

  /** Points of the value below which a share of what was measured lies. */
  quantile(name, share) {
    return this.#pairs((before, after) => quantile(before.histograms[name], after.histograms[name], share));
  }

  /** How much a counter has grown since the oldest summary that is kept, restarts of the process aside. */
  grown(name) {
    let sum = 0;
    for (let index = 1; index < this.#samples.length; index += 1) {
      const by = this.#samples[index].counters[name] - this.#samples[index - 1].counters[name];
      if (by > 0) sum += by;
    }
    return sum;
  }

  /** What plots show: as much as there is, from a minute to the whole. */
  get windowMs() {
    return Math.min(Math.max(this.span, SHORTEST_MS), WINDOW_MS);
  }

  /** The summaries, as data that another page of this tab may go on with. */
  get kept() {
    return this.#samples;
  }

  /** What lies between the oldest and the newest summary. */
  get span() {
    return this.#samples.length < 2 ? 0 : this.last.at - this.#samples[0].at;
  }

  #pairs(value) {
    const points = [];
    for (let index = 1; index < this.#samples.length; index += 1) {
      const [before, after] = [this.#samples[index - 1], this.#samples[index]];
      const isHole = after.at - before.at > HOLE_MS;
      points.push({ at: after.at, value: isHole ? null : value(before, after) });
    }
    return points;
  }
}

/**
 * The value below which `share` of what came between two states of a histogram lies, between the bounds of its bucket in
 * a straight line; null where nothing came. What lies above the last bound is told as that bound.
 *
 * @param {{ le: number, count: number }[]} before cumulative, as `after`
 */
export function quantile(before, after, share) {
  if (!before || !after || before.length !== after.length) return null;
  const grown = after.map(({ le, count }, index) => ({ le, count: count - before[index].count }));
  const total = grown.at(-1)?.count ?? 0;
  if (!(total > 0)) return null;
  const rank = share * total;
  let [below, bound] = [0, 0];
  for (const { le, count } of grown) {
    if (count >= rank) {
      if (le === null || !Number.isFinite(le)) return bound;
      return bound + (le - bound) * ((rank - below) / Math.max(count - below, 1));
    }
    [below, bound] = [count, le];
  }
  return bound;
}

/** The least, greatest and newest value of points; undefined where there is none. */
export function extent(points) {
  const values = points.map(({ value }) => value).filter((value) => value !== null);
  if (values.length === 0) return undefined;
  return { least: Math.min(...values), greatest: Math.max(...values), newest: values.at(-1) };
}
