// Node's price of a connect: its http server accepts, parses the request and emits 'upgrade'; the answer is one write of
// fixed bytes, and nothing is behind it. No server that leaves the listener to Node can do with less.
import http from 'node:http';
import { listen } from './listen.mjs';

/** Of the one key that the load generator sends. */
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const HEAD = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`;
const CONNECTED = '{"type":"connected"}';
const ANSWER = Buffer.concat([Buffer.from(HEAD), Buffer.from([0x81, CONNECTED.length]), Buffer.from(CONNECTED)]);

const server = http.createServer((request, response) => response.end('{}'));
server.on('upgrade', (request, socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
  socket.resume();
  socket.write(ANSWER);
});
listen(server);
