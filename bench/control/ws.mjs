// The server that the hub replaces, written anew from its protocol on npm `ws`: Node's http server, a map of documents,
// a JSON.parse a message and a send() a member.
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { listen } from './listen.mjs';
import { createRoutes } from './routes.mjs';

/** Document id to its connections. */
const documents = new Map();
/** Fields that each type of message passes on. */
const PASSED_ON = {
  update: ['update'],
  awareness: ['awareness'],
  selection: ['selection'],
  steps: ['steps', 'version'],
};

const sockets = new WebSocketServer({ noServer: true });
const server = http.createServer(createRoutes(broadcastSteps));

server.on('upgrade', (request, socket, head) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  sockets.handleUpgrade(request, socket, head, (ws) => {
    const documentId = searchParams.get('documentId');
    const clientID = searchParams.get('clientID');
    if (pathname !== '/ws/fabric') ws.close(1003, `No handler for ${pathname}`);
    else if (!documentId || !clientID) ws.close(1003, 'Missing documentId or clientID');
    else join(ws, documentId, clientID);
  });
});

function join(ws, documentId, clientID) {
  ws.documentId = documentId;
  ws.clientID = clientID;
  if (!documents.has(documentId)) documents.set(documentId, new Set());
  documents.get(documentId).add(ws);
  ws.on('message', (data) => receive(ws, data));
  ws.on('close', () => leave(ws));
  ws.on('error', () => ws.terminate());
  ws.send(JSON.stringify({ type: 'connected', clientID, documentId }));
}

function leave(ws) {
  const members = documents.get(ws.documentId);
  members.delete(ws);
  if (members.size === 0) documents.delete(ws.documentId);
}

function receive(ws, data) {
  let message;
  try {
    message = JSON.parse(data.toString());
  } catch {
    ws.send(JSON.stringify({ type: 'error', message: 'Invalid message format' }));
    return;
  }
  if (message.documentId !== ws.documentId) return;
  if (message.type === 'sync') ws.send(JSON.stringify({ type: 'synced', documentId: ws.documentId }));
  const fields = PASSED_ON[message.type];
  if (!fields) return;
  const passed = { type: message.type, documentId: ws.documentId };
  for (const field of fields) passed[field] = message[field];
  send(ws.documentId, JSON.stringify({ ...passed, clientID: ws.clientID }), ws);
}

function send(documentId, text, sender) {
  for (const member of documents.get(documentId) ?? []) {
    if (member !== sender && member.readyState === member.OPEN) member.send(text);
  }
}

function broadcastSteps(documentId, steps, changeId) {
  send(documentId, JSON.stringify({ type: 'steps', steps, clientIDs: steps.map(() => 'agent'), changeId }));
}

listen(server);
