'use strict';

const { constants } = require('node:os');
const { isatty } = require('node:tty');

const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');

/** A signal that comes twice within this time is one: npm and a terminal both pass Ctrl-C on. */
const SAME_MS = 500;

/**
 * What asks a process to end: Ctrl-C, a process manager, a closed terminal, Ctrl-\ or an image's STOPSIGNAL, and Ctrl-Break
 * on Windows. Without a listener each but the first two would end it in the middle of everything, and SIGQUIT with a dump.
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGBREAK'];

/** What nodemon restarts by. Heap snapshots, reports and apps use it as well; whoever else listens to it has it. */
const SHARED_SIGNAL = 'SIGUSR2';

/** 128 and the signal's number, as a shell reports a process that a signal has ended. */
const codeOf = (signal) => 128 + (constants.signals[signal] ?? 0);

/** A terminal that was closed and a pipe whose reader is gone refuse every write, which must not end a shutdown half-way. */
function outliveOutput() {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** Which of stdin, stdout and stderr are terminals now. */
const terminals = () => [0, 1, 2].filter((descriptor) => isatty(descriptor));

/**
 * Ends the process. As it exits Node gives terminals their modes back, and aborts with a dump where one is gone by then. So
 * there, once everybody who listens to its exit was called, SIGHUP ends it, as it would without any of this.
 *
 * @param {number[]} before which were terminals
 */
function leave(code, before) {
  if (before.some((descriptor) => !isatty(descriptor))) {
    process.on('exit', () => {
      process.removeAllListeners('SIGHUP');
      process.kill(process.pid, 'SIGHUP');
    });
  }
  process.exit(code);
}

/**
 * Calls `shutdown` on {@link SIGNALS}, nodemon's signal and PM2's `shutdown` message, then ends the process with its exit
 * code. A second signal ends it at once.
 *
 * @param {(code: number) => Promise<number>} shutdown is given the code of a process that the signal has ended; resolves
 *   with the exit code
 * @returns a function that stops listening
 */
function onSignal(shutdown) {
  let since;
  const before = terminals();
  const onStop = (name, code) => {
    if (since === undefined) {
      since = Date.now();
      outliveOutput();
      shutdown(code).then(
        (exitCode) => leave(exitCode, before),
        (error) => {
          log('error', `shutdown failed: ${describe(error)}`);
          leave(1, before);
        },
      );
    } else if (Date.now() - since > SAME_MS) {
      log('warn', `${name} came again: ended at once`);
      leave(code, before);
    }
  };
  const onSharedSignal = () => {
    if (process.listenerCount(SHARED_SIGNAL) === 1) onStop(SHARED_SIGNAL, codeOf(SHARED_SIGNAL));
  };
  const onMessage = (message) => {
    if (message === 'shutdown') onStop('shutdown', 1);
  };
  const listeners = [
    ...SIGNALS.map((signal) => [signal, () => onStop(signal, codeOf(signal))]),
    [SHARED_SIGNAL, onSharedSignal],
    ['message', onMessage],
  ];
  for (const [event, listener] of listeners) process.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) process.off(event, listener);
  };
}

module.exports = { onSignal };
