// What must hold in the end, from what the hub was given and what a witness on each document saw.

import { senderOf } from './labels.mjs';

/**
 * Everything that was published in one epoch of a document: `[{ offset, label, to }]` by offset, without a gap.
 *
 * The witness sees all but what is for a single client. Those take the offsets that it does not see, in the order in
 * which they were published, since one thread published them.
 *
 * @param seen `[{ offset, label }]` of the witness
 * @param privates `[{ label, to }]` in the order they were published
 */
export function publishedIn({ start, seen }, privates, wrong) {
  const left = [...privates];
  const all = [];
  const fill = (offset) => {
    while (start + all.length + 1 < offset) {
      const next = left.shift();
      if (!next) return wrong(`offset ${start + all.length + 1} was given to nothing`);
      all.push({ offset: start + all.length + 1, ...next });
    }
  };
  for (const { offset, label } of seen) {
    fill(offset);
    if (offset !== start + all.length + 1) wrong(`the witness saw offset ${offset} after ${start + all.length}`);
    all.push({ offset, label });
  }
  for (const next of left) all.push({ offset: start + all.length + 1, ...next });
  return all;
}

/** What of `published` a client gets in an episode, after `start`: what others have sent, and its own where that is `toAll`. */
export function expectedOf(clientID, episode, published) {
  return published.filter(({ offset, label, to, toAll = false }) => {
    if (offset <= episode.start || (to !== undefined && to !== clientID)) return false;
    if (toAll) return true;
    const { by, session } = senderOf(label);
    return by !== clientID || session !== episode.session;
  });
}

/** Compares what a client got in an episode with what was published for it. Answers how many messages that were. */
export function judgeEpisode(log, episode, published, isLast) {
  const end = isLast ? Infinity : (episode.entries.at(-1)?.offset ?? episode.start);
  const expected = expectedOf(log.clientID, episode, published).filter(({ offset }) => offset <= end);
  const show = (entry) => (entry ? `${entry.label} at ${entry.offset}` : 'nothing');
  for (let index = 0; index < Math.max(expected.length, episode.entries.length); index += 1) {
    const [due, got] = [expected[index], episode.entries[index]];
    if (due?.offset !== got?.offset || due?.label !== got?.label) {
      const where = `epoch ${episode.epoch} from ${episode.start}, ${episode.recoveries} recoveries`;
      log.wrong(`message ${index} of ${expected.length} (${where}): due was ${show(due)}, got ${show(got)}`);
      break;
    }
  }
  return episode.entries.length;
}

/** How often what a client sent may have been published, by what it was told of it. */
const ALLOWED = { acknowledged: [1], unpublished: [0], unknown: [0, 1], sent: [] };

/** Whether what a client sent was published as often as it was told, and in the order it was sent. */
export function judgeSent(log, publications, allowed = ALLOWED) {
  const mine = publications.filter(({ label }) => log.fates.has(label)).map(({ label }) => label);
  const counts = new Map();
  for (const label of mine) counts.set(label, (counts.get(label) ?? 0) + 1);
  for (const [label, fate] of log.fates) {
    const count = counts.get(label) ?? 0;
    if (!allowed[fate].includes(count)) log.wrong(`${label} is ${fate} and was published ${count} times`);
  }
  const numbers = mine.map((label) => Number(label.split('/')[2]));
  // A reload whose outcome is unknown may leave an old connection behind whose last words come late.
  const bySession = (label) => senderOf(label).session;
  for (let index = 1; index < mine.length; index += 1) {
    const same = bySession(mine[index]) === bySession(mine[index - 1]);
    if (same && numbers[index] <= numbers[index - 1])
      log.wrong(`${mine[index]} was published after ${mine[index - 1]}`);
  }
  return mine.length;
}
