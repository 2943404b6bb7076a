// Decisions of the fault test. Each stream of them follows from the seed and a name alone, so it is the same in every
// run, whatever the network and the scheduler make of it.

function hash(text) {
  let state = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) state = Math.imul(state ^ text.charCodeAt(index), 0x01000193);
  return state >>> 0;
}

/** Numbers from 0 to 1 (mulberry32) for a name. */
export function stream(seed, ...names) {
  let state = hash(`${seed}/${names.join('/')}`);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const between = (random, low, high) => Math.floor(low + random() * (high - low));

/** Small numbers are as likely as large ones: where a connection breaks matters most at its beginning. */
export const spread = (random, low, high) => Math.floor(low * (high / low) ** random());

export const pick = (random, choices) => choices[Math.floor(random() * choices.length)];

/** The same in another order. */
export function shuffled(random, all) {
  const left = [...all];
  return all.map(() => left.splice(Math.floor(random() * left.length), 1)[0]);
}

/**
 * The n-th connection of a client: when and how it is cut, and how fast the client reads. A patient client now and then
 * reads nothing for so long that the hub takes it for too slow, and is not cut meanwhile.
 */
export function planOf(seed, clientID, number, { isPatient = false } = {}) {
  const random = stream(seed, 'connection', clientID, number);
  const plan = { how: pick(random, ['FIN', 'RST', 'silence']) };
  const fate = random();
  if (isPatient && random() < 0.7) {
    return { stallAfter: spread(random, 500, 100_000), stallMs: between(random, 15_000, 25_000) };
  }
  if (fate < 0.2) plan.afterUp = spread(random, 100, 8000);
  else if (fate < 0.75) plan.afterDown = spread(random, 10, 60_000);
  else if (fate < 0.9) plan.bytesPerSecond = spread(random, 1000, 20_000);
  // Whatever it was, it comes to an end.
  plan.afterMs = spread(random, 300, 15_000);
  if (random() < 0.3) plan.delayMs = between(random, 1, 80);
  return plan;
}
