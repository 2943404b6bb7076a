// Handlers as tests register them, which keep what they were called with.
import { registerHandler } from '@captify-io/hub';
import { until } from './processes.mjs';
import { uniqueId } from './hub-server.mjs';

/**
 * Registers a handler under a path of its own, echoing unless told otherwise.
 *
 * @param callbacks in the place of its own, called after it has noted the call
 * @returns `{ path, calls, sockets, called(name, count) }`
 */
export function recordingHandler(callbacks = {}, path = `/ws/${uniqueId('handler')}`) {
  const calls = [];
  const sockets = [];
  const note = (name, ...details) => calls.push([name, ...details]);
  const handler = {
    path,
    onConnect(ws, request) {
      note('onConnect');
      sockets.push(ws);
      return callbacks.onConnect?.(ws, request);
    },
    onMessage(ws, message) {
      note('onMessage', message);
      return callbacks.onMessage ? callbacks.onMessage(ws, message) : ws.send(message);
    },
    onClose(ws, code, reason) {
      note('onClose', code, reason.toString());
      return callbacks.onClose?.(ws, code, reason);
    },
    onError(ws, error) {
      note('onError', error.message);
      return callbacks.onError?.(ws, error);
    },
  };
  registerHandler(handler);
  const of = (name) => calls.filter(([called]) => called === name).map(([, ...details]) => details);
  return {
    path,
    handler,
    calls,
    sockets,
    of,
    /** Resolves with the details of the first `count` calls of a callback. */
    called: (name, count = 1) =>
      until(`${name} of ${path}, call ${count}`, () => (of(name).length >= count ? of(name).slice(0, count) : null), {
        everyMs: 2,
      }),
  };
}
