'use strict';

const { portion } = require('./relay.js');

/** What each kind of message of another process does; `to` is one that it is for alone. */
const HEARD = {
  ask({ thread, tell }, from, { number }) {
    const streams = [];
    for (const { streamId, state, history, owner, beganAt } of thread.streams.values()) {
      if (owner === undefined) streams.push({ streamId, state, seq: history.seq, ageMs: performance.now() - beganAt });
    }
    tell({ kind: 'have', to: from, number, watchers: thread.connections.size, streams });
  },

  have({ thread, mirror, add, drop, catchUp, answer, wasDropped }, from, { number, watchers, streams }) {
    const [named, unknown] = [new Set(), []];
    for (const { streamId, state, seq, ageMs } of streams) {
      named.add(streamId);
      const known = mirror(streamId, from);
      if (known) {
        known.update({ state, seq });
        continue;
      }
      const isNew = !wasDropped(streamId);
      const added = add(streamId, from, { state, seq, isNew: false });
      if (added && isNew) unknown.push({ mirror: added, ageMs });
    }
    catchUp(unknown, number);
    // What it has forgotten is forgotten here, too.
    for (const each of [...thread.streams.values()]) {
      if (each.owner === from && !named.has(each.streamId) && (each.end !== undefined || !each.isWanted)) drop(each);
    }
    answer(number, from, watchers);
  },

  started({ add, begin }, from, { streamId, seq }) {
    const mirror = add(streamId, from, { state: 'running', seq, isNew: seq === 0 });
    if (mirror) begin(mirror);
  },

  news({ thread, look }) {
    if (thread.isWatched) look();
  },

  async read({ own, tell }, from, { streamId, after }) {
    const stream = own(streamId);
    if (!stream) return tell({ kind: 'gone', to: from, streamId });
    const { history } = stream;
    // What is still to come is told to all from here on.
    stream.relay?.begin();
    for (let last = after; ;) {
      const { seq, frames } = portion(history, last + 1);
      last = seq + frames.length - 1;
      const isLast = last >= history.seq;
      const told = tell({ kind: 'chunks', to: from, streamId, seq, frames, isAnswer: true, isLast });
      if (isLast) break;
      await told;
    }
    if (stream.ending !== undefined) tell({ ...stream.ending, to: from });
  },

  gone({ mirror, lose, drop }, from, { streamId }) {
    const found = mirror(streamId, from);
    if (!found) return;
    lose(found);
    drop(found);
  },

  chunks({ mirror }, from, message) {
    mirror(message.streamId, from)?.take(message);
  },

  end({ mirror }, from, message) {
    mirror(message.streamId, from)?.takeEnd(message);
  },

  abort({ own, tell }, from, { streamId }) {
    const stream = own(streamId);
    stream?.abort();
    // Nobody there may have followed it.
    if (stream?.ending !== undefined) tell({ ...stream.ending, to: from });
  },

  hold({ own }, from, { streamId }) {
    own(streamId)?.relay?.hold(from);
  },

  go({ own }, from, { streamId }) {
    own(streamId)?.relay?.go(from);
  },

  left({ thread }) {
    thread.othersLeft();
  },

  leave({ thread, lose }, from) {
    for (const each of [...thread.streams.values()]) if (each.owner === from) lose(each);
    thread.othersLeft();
  },
};

module.exports = { HEARD };
