'use strict';

const TEXTS = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  431: 'Request Header Fields Too Large',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** How long a refused peer may take to read its answer. */
const LINGER_MS = 2000;

/** How often each status was answered. */
const refusals = new Map();

/** Answers an upgrade over HTTP and closes the socket. */
function refuse(socket, status, text) {
  refusals.set(status, (refusals.get(status) ?? 0) + 1);
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

/** Refuses an upgrade on a connection where the response to an earlier, pipelined request is still being written. */
function refuseLater(socket) {
  socket.on('error', () => socket.destroy());
  const text = 'A WebSocket cannot be opened behind an unanswered request.';
  socket._httpMessage.once('close', () => refuse(socket, 400, text));
}

const PLAIN =
  'This is a WebSocket endpoint, and the request asked for no upgrade. If a WebSocket client sent it, a proxy in between ' +
  'has dropped its Upgrade and Connection headers: in nginx set proxy_http_version 1.1, proxy_set_header Upgrade ' +
  '$http_upgrade and proxy_set_header Connection "upgrade" for this path.\n';

/** Answers a plain request of a path where there are only WebSockets. */
function refusePlain(request, response) {
  response.writeHead(426, {
    Upgrade: 'websocket',
    Connection: response.shouldKeepAlive ? 'Upgrade' : 'Upgrade, close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(PLAIN),
    'Cache-Control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : PLAIN);
}

module.exports = { TEXTS, refusals, refuse, refuseLater, refusePlain };
