'use strict';

const { describe } = require('./faults.js');

/** A signal that comes twice within this time is one: npm and a terminal both pass Ctrl-C on. */
const SAME_MS = 500;

/**
 * Calls `shutdown` on SIGINT, SIGTERM and PM2's `shutdown` message, then ends the process with its exit code. A second
 * signal ends it at once.
 *
 * @param {() => Promise<number>} shutdown resolves with the exit code
 * @returns a function that stops listening
 */
function onSignal(shutdown) {
  let since;
  const onStop = (name, code) => {
    if (since === undefined) {
      since = Date.now();
      shutdown().then(
        (exitCode) => process.exit(exitCode),
        (error) => {
          process.stderr.write(`[hub] error: shutdown failed: ${describe(error)}\n`);
          process.exit(1);
        },
      );
    } else if (Date.now() - since > SAME_MS) {
      process.stderr.write(`[hub] warn: ${name} came again: ended at once\n`);
      process.exit(code);
    }
  };
  // 128 and the signal's number, as a shell reports a process that a signal has ended.
  const onInterrupt = () => onStop('SIGINT', 130);
  const onTerminate = () => onStop('SIGTERM', 143);
  const onMessage = (message) => {
    if (message === 'shutdown') onStop('shutdown', 1);
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  process.on('message', onMessage);
  return () => {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onTerminate);
    process.off('message', onMessage);
  };
}

module.exports = { onSignal };
