// Medians, because a run that the machine disturbed should not count at all.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median of the ratios of runs made one after the other, so that drift of the machine is on both sides. */
export function medianRatio(values, references) {
  return median(values.map((value, round) => value / references[round]));
}

/** Processor time of the server a delivered message, in microseconds. */
export const cpuPerDelivery = (measured) => measured.server.total_ns / measured.deliveries / 1000;

/** The same in user space: sampled by perf, or else as the kernel splits it. */
export function userPerDelivery(measured) {
  const { sampled_user_ns: sampled, server, deliveries, seconds } = measured;
  return (sampled ? sampled * seconds : server.user_ns) / deliveries / 1000;
}
