// A handler on npm `ws`, called as captify's server calls it.
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { echoHandler as handler } from './echo-handler.mjs';
import { listen } from './listen.mjs';

const sockets = new WebSocketServer({ noServer: true });
const server = http.createServer();

server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, async (ws) => {
    ws.on('message', async (message) => {
      try {
        await handler.onMessage(ws, message);
      } catch (error) {
        await handler.onError(ws, error);
      }
    });
    ws.on('close', (code, reason) => handler.onClose(ws, code, reason));
    ws.on('error', (error) => handler.onError(ws, error));
    await handler.onConnect(ws, request);
  });
});

listen(server);
