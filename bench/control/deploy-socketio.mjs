// Documents on Socket.IO with its connection state recovery, for a restart under load. It keeps what it remembers in memory.
import http from 'node:http';
import { Server } from 'socket.io';

const server = http.createServer((_request, response) => response.end('page'));
const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
});
// Socket.IO has no such thing of its own: the app keeps what it has applied of each client, as its documentation shows.
const applied = new Map();
io.on('connection', (socket) => {
  const { documentId, clientID } = socket.handshake.auth;
  socket.join(documentId);
  socket.on('update', (number, acknowledge) => {
    if (number > (applied.get(clientID) ?? 0)) {
      applied.set(clientID, number);
      socket.to(documentId).emit('update', clientID, number);
    }
    acknowledge();
  });
  socket.emit('welcome', socket.recovered);
});

server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 }, () => process.send?.('ready'));
process.once('SIGINT', () => io.close(() => process.exit(0)));
