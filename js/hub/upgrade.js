'use strict';

// The hand-over of an upgraded socket to the native side, and the way around it where there is no plain descriptor.

const { randomBytes } = require('node:crypto');
const net = require('node:net');

const { refuse, refuseLater } = require('../http/refuse.js');

/** How long a peer may take to read what is left for it in a piped socket, once the hub has let go of it. */
const LINGER_MS = 10_000;

/**
 * The request as the native side reads it: method, target, version, then header names and values in turn, one a line.
 * None can hold a line feed: Node's parser refuses such a request.
 */
function requestLines(request) {
  return `${request.method}\n${request.url}\n${request.httpVersion}\n${request.rawHeaders.join('\n')}`;
}

/** Reads the raw headers: asking for `request.headers` makes Node build that object, at every connect of a storm. */
function hasBody({ rawHeaders }) {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const { length } = rawHeaders[index];
    if (length !== 14 && length !== 17) continue;
    const name = rawHeaders[index].toLowerCase();
    if (name === 'transfer-encoding') return true;
    if (name === 'content-length' && rawHeaders[index + 1] !== '0') return true;
  }
  return false;
}

/**
 * Whether bytes of an earlier, pipelined response still wait in Node. The hub's first bytes, written to the descriptor,
 * would end up in the middle of them; through the pipe they queue up behind.
 */
function hasUnsentBytes(socket) {
  return socket.writableLength > 0 || socket._handle.writeQueueSize > 0;
}

/**
 * Whether the socket is a TCP socket of this process with a descriptor of its own. A TLS socket answers the descriptor
 * below it, and plain frames inside a TLS stream would follow. Windows answers -1.
 */
function hasPlainDescriptor(socket) {
  return (
    socket instanceof net.Socket &&
    socket.encrypted !== true &&
    socket._handle?.constructor?.name === 'TCP' &&
    socket._handle.fd >= 0
  );
}

/** Everything Node read beyond the request's head. */
function earlyBytes(socket, head) {
  const chunks = head.length > 0 ? [head] : [];
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk);
  return chunks.length > 0 ? Buffer.concat(chunks) : undefined;
}

/**
 * Gives the socket to the native side.
 *
 * @param native the native hub
 * @param {{ handOver: boolean, heartbeatIntervalMs: number }} options
 * @param admission what the gate decided about it
 * @param {(error: Error) => void} fail refuses the upgrade, where that nothing takes the socket turns out only later
 * @returns {number | undefined} the number of the connection, where there will be one
 * @throws what the native side throws where it takes nothing; then the socket can still be answered
 */
function takeOver(native, options, request, socket, head, admission, fail) {
  // http has removed its own listener; without one ECONNRESET would be an uncaught exception.
  socket.on('error', () => socket.destroy());
  if (hasBody(request)) {
    // The body may stand where the first frame should, and Node may have wrapped the socket.
    refuse(socket, 400, 'A request for a WebSocket has no body.');
  } else if (socket._httpMessage) {
    // A response to an earlier, pipelined request is still being written.
    refuseLater(socket);
  } else if (options.handOver && hasPlainDescriptor(socket) && !hasUnsentBytes(socket)) {
    return handOver(native, request, socket, head, admission);
  } else {
    return pipe(native, options, request, socket, head, admission, fail);
  }
  return undefined;
}

function handOver(native, request, socket, head, admission) {
  const handle = socket._handle;
  // From here on libuv must not read: those bytes are the hub's.
  handle.readStop();
  // Where the stream was full it has stopped the handle itself, and read() below would start it again.
  handle.reading = true;
  let id;
  try {
    id = native.accept(handle.fd, requestLines(request), earlyBytes(socket, head), admission);
  } catch (error) {
    handle.readStart();
    throw error;
  }
  // Another listener may still end or answer what it does not know to be taken, on the peer's very connection.
  socket.end = () => socket;
  socket.write = () => false;
  // destroy() only closes Node's descriptor, the connection lives on in the hub's. Not at once: libuv before 1.49
  // removes a descriptor from epoll too late when it is closed inside its poll phase with io_uring (libuv#4323), and
  // would spin on every byte the hub leaves unread.
  setImmediate(() => socket.destroy());
  // null where the peer has reset the connection meanwhile, so that there is nobody to refuse anything to.
  return id ?? undefined;
}

/** Ends a socket behind what waits in it, which a peer that does not read would make wait for ever. */
function endSoon(socket) {
  if (socket.destroyed) return;
  socket.destroySoon?.();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

function pipe(native, options, request, socket, head, admission, fail) {
  const ticket = randomBytes(16).toString('hex');
  const [port, id] = native.expect(ticket, requestLines(request), admission);
  const tunnel = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  if (head.length > 0) socket.unshift(head);
  tunnel.write(ticket);
  tunnel.once('error', fail);
  tunnel.once('connect', () => {
    tunnel.off('error', fail);
    tunnel.on('error', () => socket.destroy());
    tunnel.on('close', () => endSoon(socket));
  });
  socket.on('error', () => tunnel.destroy());
  // A reset or a lost peer must reach the other side; a FIN is carried over by pipe().
  socket.on('close', () => tunnel.destroy());
  socket.setNoDelay?.(true);
  socket.setTimeout?.(0);
  if (options.heartbeatIntervalMs > 0) dropStalled(socket, tunnel, 2 * options.heartbeatIntervalMs + LINGER_MS);
  socket.pipe(tunnel);
  tunnel.pipe(socket);
  return id;
}

/**
 * Drops a socket whose peer has read nothing for `limitMs`. The hub has let go of it by then, because it answered no
 * ping; but while Node must not read the tunnel it cannot see that the tunnel has ended.
 */
function dropStalled(socket, tunnel, limitMs) {
  let timer;
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  tunnel.on('pause', () => (timer ??= setTimeout(() => socket.destroy(), limitMs).unref()));
  socket.on('drain', stop);
  socket.on('close', stop);
}

module.exports = { takeOver };
