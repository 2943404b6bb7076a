'use strict';

// What agents' handlers keep in globalThis, and how many streams there are. Bundle-safe, as index.js is.

/** Version of what is kept there. */
const KEY = Symbol.for('@captify-io/hub/agent@1');

/** Streams of all handlers: those that run, and how often one has ended, by how. */
function agentStreams() {
  const states = [...(globalThis[KEY]?.values() ?? [])];
  const sum = (count) => states.reduce((all, { threads }) => all + (count(threads) ?? 0), 0);
  return {
    running: sum((threads) => threads.running),
    done: sum((threads) => threads.ended?.done),
    error: sum((threads) => threads.ended?.error),
  };
}

module.exports = { KEY, agentStreams };
