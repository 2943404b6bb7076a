// The same rooms on Socket.IO, websocket transport only. With ADAPTER (`streams`, `pubsub`) over the Redis at HUB_REDIS_URL.
import http from 'node:http';
import { createAdapter as createPubSubAdapter } from '@socket.io/redis-adapter';
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { listen } from './listen.mjs';
import { createRoutes } from './routes.mjs';

const connected = () => createClient({ url: process.env.HUB_REDIS_URL }).connect();

async function adapter() {
  if (process.env.ADAPTER === 'streams') return createStreamsAdapter(await connected());
  if (process.env.ADAPTER === 'pubsub') return createPubSubAdapter(await connected(), await connected());
  return undefined;
}

const server = http.createServer();
const io = new Server(server, { transports: ['websocket'], serveClient: false, adapter: await adapter() });
const routes = createRoutes((documentId, steps, changeId) => {
  io.to(documentId).emit('steps', { steps, clientIDs: steps.map(() => 'agent'), changeId });
});
// Socket.IO passes what is not its own on to the listeners that were there before it; here there were none.
server.on('request', (request, response) => {
  if (!request.url.startsWith('/socket.io/')) routes(request, response);
});

io.on('connection', (socket) => {
  const { documentId, clientID } = socket.handshake.query;
  socket.join(documentId);
  socket.on('update', (message) => {
    if (message.documentId !== documentId) return;
    socket.to(documentId).emit('update', { documentId, update: message.update, clientID });
  });
  socket.emit('connected', { clientID, documentId });
});

listen(server);
