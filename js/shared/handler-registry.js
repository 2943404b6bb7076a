'use strict';

// The handlers an app has registered. Bundle-safe, as index.js is: every copy of this file finds the same ones.

const { invalid } = require('./errors.js');

/** Handlers by path. They outlive a hub, and may be there before it: Next decides when `register()` runs. */
const KEY = Symbol.for('@captify-io/hub/handlers@1');

/** Marks the object that stands for the native endpoint, whichever copy of the package made it. */
const NATIVE = Symbol.for('@captify-io/hub/native-endpoint');

/** A path of the hub's, or the beginning of several: `/ws/agent`, `/ws/yjs/*`. */
const PATH = /^\/ws(?:\/[^\s?#*]*)?(?:\/\*)?$/;

const CALLBACKS = ['onConnect', 'onMessage', 'onClose', 'onError'];

const ignore = () => {};

/** Stands for the endpoint in Rust in a list of handlers. Its callbacks are never called. */
const fabricHandler = Object.freeze({
  path: '/ws/fabric',
  onConnect: ignore,
  onMessage: ignore,
  onClose: ignore,
  onError: ignore,
  [NATIVE]: true,
});

/** @returns {Map<string, import('../index.js').WebSocketHandler>} */
function byPath() {
  if (!globalThis[KEY]) Object.defineProperty(globalThis, KEY, { value: new Map(), configurable: true });
  return globalThis[KEY];
}

function check(handler) {
  if (typeof handler !== 'object' || handler === null) invalid('a handler must be an object');
  const { path } = handler;
  if (typeof path !== 'string' || !PATH.test(path)) {
    invalid(`a handler's path must be below /ws, such as '/ws/agent', or end in '/*', not ${String(path)}`);
  }
  for (const name of CALLBACKS) {
    if (typeof handler[name] !== 'function') invalid(`the handler of ${path} must have a function ${name}`);
  }
  if (handler.handleProtocols !== undefined && typeof handler.handleProtocols !== 'function') {
    invalid(`handleProtocols of the handler of ${path} must be a function`);
  }
  if (path === fabricHandler.path && !handler[NATIVE]) {
    invalid(
      `${path} is served by the hub itself: put fabricHandler into the list in the place of a handler of your own`,
    );
  }
}

/**
 * Keeps handlers, each in the place of one with its path. All are checked before the first is kept.
 *
 * @returns those that JavaScript serves
 */
function addHandlers(handlers) {
  if (!Array.isArray(handlers)) invalid('handlers must be an array');
  for (const handler of handlers) check(handler);
  const own = handlers.filter((handler) => !handler[NATIVE]);
  for (const handler of own) byPath().set(handler.path, handler);
  return own;
}

/** Every handler that was registered so far, in the order their paths came. */
function registeredHandlers() {
  return [...byPath().values()];
}

module.exports = { addHandlers, registeredHandlers, fabricHandler };
