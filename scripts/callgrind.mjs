// What callgrind has counted, from the files it writes.

/** Which functions a call of is counted as what; the C library's, what the hub has in its place, and tokio's for a task. */
const COUNTED = {
  allocations: /^(malloc|calloc|realloc|posix_memalign|aligned_alloc|memalign)$/,
  writes: /^((__)?(send|sendto|sendmsg|write|writev)|captify_hub::connection::writer::send)$/,
  reads: /^(__)?(recv|recvfrom|recvmsg|read|readv)$/,
  waits: /^epoll_p?wait2?$/,
  polls: /^tokio::runtime::task::raw::poll/,
};

/**
 * Reads the file of one thread.
 *
 * @param {string} text in the format of callgrind.out, with compressed names
 * @returns {{ instructions: number, allocations: number, writes: number, reads: number, waits: number, polls: number }}
 */
export function parseCallgrind(text) {
  const counted = { instructions: 0, allocations: 0, writes: 0, reads: 0, waits: 0, polls: 0 };
  const names = new Map();
  let callee = '';
  for (const line of text.split('\n')) {
    const total = /^(?:totals|summary): (\d+)/.exec(line);
    if (total) counted.instructions = Number(total[1]);
    // A name is written out where it comes first, and its number alone after that.
    const name = /^(c?)fn=\((\d+)\)(?: (.*))?$/.exec(line);
    if (name) {
      const [, called, number, written] = name;
      if (written !== undefined) names.set(number, written);
      if (called) callee = names.get(number);
    }
    const calls = /^calls=(\d+)/.exec(line);
    if (calls) {
      for (const [what, pattern] of Object.entries(COUNTED))
        if (pattern.test(callee)) counted[what] += Number(calls[1]);
    }
  }
  return counted;
}

/** What one repetition cost: the difference of two runs, which both began and ended in the same way. */
export function perRepetition(fewer, more, repetitions) {
  return Object.fromEntries(Object.keys(fewer).map((what) => [what, (more[what] - fewer[what]) / repetitions]));
}

/** Of an odd number of countings the middle value of each count. */
export function middle(countings) {
  const of = (what) => countings.map((one) => one[what]).sort((a, b) => a - b)[countings.length >> 1];
  return Object.fromEntries(Object.keys(countings[0]).map((what) => [what, of(what)]));
}

/** Adds up the threads of one run. */
export function sum(threads) {
  return threads.reduce(
    (all, one) => Object.fromEntries(Object.keys(one).map((what) => [what, (all[what] ?? 0) + one[what]])),
    {},
  );
}

/** Instructions vary a little with the C library and the random keys of hash maps; everything else is a whole number. */
export const TOLERANCE = { share: 0.05, calls: 0.04 };

/**
 * Compares what was counted with what is on record.
 *
 * @param {Record<string, number>} [wider] the share by which a count may differ, where it hangs on which thread is first
 * @returns {{ what: string, recorded: number, counted: number, grew: boolean }[]} what differs by more than the tolerance
 */
export function differences(recorded, counted, wider = {}) {
  return Object.keys(counted).flatMap((what) => {
    const share = recorded[what] * (wider[what] ?? TOLERANCE.share);
    const allowed = what === 'instructions' ? share : Math.max(TOLERANCE.calls, share);
    const change = counted[what] - recorded[what];
    if (Math.abs(change) <= allowed) return [];
    return [{ what, recorded: recorded[what], counted: counted[what], grew: change > 0 }];
  });
}
