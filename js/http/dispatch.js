'use strict';

const net = require('node:net');

const { asksForUpgrade, ignoreOffers } = require('./offers.js');

/** What a socket has been given to send so far: on a connection that has served pages that is not 0. */
const sent = (socket) => socket.bytesWritten ?? socket.writableLength;

/** Whether somebody has answered on `socket` since it had sent `before`. */
function isAnswered(socket, before) {
  return socket.destroyed || socket.writableEnded || sent(socket) > before;
}

/** What later listeners get for a socket that the hub has taken: they may end it, refuse on it and time it out. */
function husk() {
  const socket = new net.Socket();
  socket.on('error', () => {});
  return socket.destroy();
}

/**
 * Shares out the upgrades of a server. Node hands each to every listener, and many a listener ends what is not its own:
 * Next, engine.io after a second, `ws` bound to a path at once. So those behind this one get a husk where the hub has
 * taken the socket, and what an earlier one has answered is left alone.
 *
 * @param {object} to
 * @param {(request) => boolean} to.owns whether an upgrade is the hub's
 * @param {(request, socket, head) => void} to.take
 * @param {(request, socket, head, before: number) => void} to.rest gets what is not, with what its socket had sent
 * @param {boolean} to.plain whether the hub answers plain requests of its paths too, so that an offer there is none of
 *   an upgrade's
 * @returns a function that undoes it
 */
function dispatch(server, { owns, take, rest, plain = false }) {
  const { emit } = server;
  const hadEmit = Object.hasOwn(server, 'emit');
  let isAttached = true;
  let before = 0;
  const onUpgrade = (request, socket, head) => {
    if (isAnswered(socket, before)) return;
    if (owns(request)) take(request, socket, head);
    else rest(request, socket, head, before);
  };
  function shareOut(event, ...args) {
    if (!isAttached || event !== 'upgrade') return Reflect.apply(emit, this, [event, ...args]);
    const [request, socket, head] = args;
    before = sent(socket);
    if (!owns(request)) return Reflect.apply(emit, this, [event, ...args]);
    let given = socket;
    for (const listener of this.rawListeners('upgrade')) {
      const takes = listener === onUpgrade && !isAnswered(socket, before);
      Reflect.apply(listener, this, [request, given, head]);
      if (takes) given = husk();
    }
    return true;
  }
  server.on('upgrade', onUpgrade);
  server.emit = shareOut;
  const undoOffers = ignoreOffers(
    server,
    (request) => (!plain && owns(request)) || asksForUpgrade(request, server.listenerCount('upgrade') > 1),
  );
  return () => {
    isAttached = false;
    server.off('upgrade', onUpgrade);
    undoOffers();
    // Whoever has wrapped `emit` since then goes on to call this one.
    if (server.emit !== shareOut) return;
    if (hadEmit) server.emit = emit;
    else delete server.emit;
  };
}

module.exports = { dispatch, isAnswered, sent };
