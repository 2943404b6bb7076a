'use strict';

// The events of npm `ws` 8 as browsers have them, beside those of EventEmitter: `onmessage` and the like, addEventListener.

const { Buffer } = require('node:buffer');

const TYPES = ['open', 'message', 'close', 'error'];
const BINARY_TYPES = ['nodebuffer', 'arraybuffer', 'fragments'];

/** Marks on a wrapped listener: whose it is, and whether it was set as a property. */
const LISTENER = Symbol('listener');
const IS_PROPERTY = Symbol('isProperty');

/** What each type of event carries beside its type and target. */
const DETAILS = {
  open: () => ({}),
  message: (data, isBinary) => ({ data: isBinary ? data : data.toString() }),
  close: (code, reason) => ({ code, reason: reason.toString(), wasClean: code !== 1006 }),
  error: (error) => ({ error, message: error?.message ?? '' }),
};

function wrap(socket, type, listener, isProperty) {
  const call = (...args) => {
    const event = { type, target: socket, ...DETAILS[type](...args) };
    return typeof listener === 'object' ? listener.handleEvent(event) : listener.call(socket, event);
  };
  return Object.assign(call, { [LISTENER]: listener, [IS_PROPERTY]: isProperty });
}

/** The message as the socket's binaryType has it. */
function asBinaryType(type, data) {
  if (type === 'arraybuffer') return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  return type === 'fragments' ? [data] : data;
}

/** Gives a class that emits `ws`'s events the methods and properties of an EventTarget. */
function addBrowserEvents(Socket) {
  Object.assign(Socket.prototype, {
    addEventListener(type, listener, options = {}) {
      if (!TYPES.includes(type)) return;
      if (typeof listener !== 'function' && typeof listener?.handleEvent !== 'function') return;
      const isThere = this.listeners(type).some((each) => each[LISTENER] === listener && !each[IS_PROPERTY]);
      if (isThere) return;
      this[options?.once ? 'once' : 'on'](type, wrap(this, type, listener, false));
    },
    removeEventListener(type, listener) {
      const found = this.listeners(type).find((each) => each[LISTENER] === listener && !each[IS_PROPERTY]);
      if (found) this.removeListener(type, found);
    },
  });
  for (const type of TYPES) {
    Object.defineProperty(Socket.prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get() {
        return this.listeners(type).find((each) => each[IS_PROPERTY])?.[LISTENER] ?? null;
      },
      set(listener) {
        const before = this.listeners(type).find((each) => each[IS_PROPERTY]);
        if (before) this.removeListener(type, before);
        if (typeof listener === 'function') this.on(type, wrap(this, type, listener, true));
      },
    });
  }
}

module.exports = { addBrowserEvents, asBinaryType, BINARY_TYPES };
