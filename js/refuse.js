'use strict';

const TEXTS = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
};

/** How long a refused peer may take to read its answer. */
const LINGER_MS = 2000;

/** Answers an upgrade over HTTP and closes the socket. */
function refuse(socket, status, text) {
  socket.on('error', () => socket.destroy());
  if (socket.destroyed) return;
  socket.end(
    `HTTP/1.1 ${status} ${TEXTS[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  // What the peer still sends is read and dropped: unread bytes would make close() reset the answer away.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroySoon?.());
}

module.exports = { refuse };
