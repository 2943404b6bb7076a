// Every line that is marked must be an error, and no other.
import {
  broadcastSteps,
  getConnectedDocuments,
  connections,
  documents,
  getConnectionCount,
  metrics,
  publish,
  registerHandler,
  type ExtendedWebSocket,
  renewSession,
  setAccess,
  type HubError,
} from '@captify-io/hub';
import { createAdminRoute } from '@captify-io/hub/admin';
import { createAgentHandler } from '@captify-io/hub/agent';
import { FabricClient } from '@captify-io/hub/client';
import { createHub, startServer, type Hub } from '@captify-io/hub/server';

declare const hub: Hub;
declare const error: HubError;
declare const ws: ExtendedWebSocket;
declare const client: FabricClient;
declare const seated: ExtendedWebSocket<{ threadId: string }>;

export const wrong = [
  broadcastSteps('document', 'steps', 'change'), // wrong
  broadcastSteps('document', []), // wrong
  broadcastSteps(7, [], 'change'), // wrong
  getConnectionCount(), // wrong
  getConnectedDocuments('document'), // wrong
  createHub({ threads: '2' }), // wrong
  createHub({ port: 3000 }), // wrong
  createHub({ redis: { url: 'rediss://h', tls: { rejectUnauthorized: false } } }), // wrong
  createHub({ redis: { cluster: 'h:7000' } }), // wrong
  registerHandler({ path: '/ws/agent' }), // wrong
  ws.send({ type: 'object' }), // wrong
  ws.close('1000'), // wrong
  ws.join(), // wrong
  ws.join('room', 1), // wrong
  ws.leave(1), // wrong
  publish('/ws/agent', 'room', { type: 'object' }), // wrong
  publish('/ws/agent', 'room', 'hello', { except: 1 }), // wrong
  createHub({ logLevel: 'verbose' }), // wrong
  createHub({ session: 'cookie' }), // wrong
  createAdminRoute(), // wrong
  createAdminRoute({}), // wrong
  createAdminRoute({ authorize: true }), // wrong
  createAdminRoute({ authorize: () => ({ user: 'Ada' }) }), // wrong
  createHub({ access: async () => true }), // wrong
  createHub({ trustProxy: true }), // wrong
  createHub({ limits: { messages: 1 } }), // wrong
  setAccess({ userId: 'anna' }, 'read'), // wrong
  setAccess({ userId: 'anna', documentId: 'document' }, true), // wrong
  renewSession({ userId: 'anna' }), // wrong
  startServer({ banner: true }), // wrong
  hub.close(1000), // wrong
  hub.upgrade(), // wrong
  error.code === 'HUB_ELSE', // wrong
  createAgentHandler(), // wrong
  createAgentHandler({}), // wrong
  createAgentHandler({ onRequest: () => 7 }), // wrong
  createAgentHandler({ onRequest: () => new ReadableStream(), graceMs: true }), // wrong
  createAgentHandler({ onRequest: () => new ReadableStream(), rollup: 25 }), // wrong
  new FabricClient({ documentId: 'document' }), // wrong
  new FabricClient({ documentId: 'document', clientID: 'client', retries: 3 }), // wrong
  client.send('connected', 1), // wrong
  seated.data.thread, // wrong
  (seated.data = { threadId: 7 }), // wrong
  registerHandler<{ threadId: string }>({
    path: '/ws/seated',
    onConnect: ({ data }) => console.log(data.thread), // wrong
    onMessage() {},
    onClose() {},
    onError() {},
  }),
  createHub({ onSecurityEvent: ({ code }) => console.log(code === 'SESSION_FORGE') }), // wrong
  client.on('reload', ({ reason }) => reason === 'RESTARTED'), // wrong
  client.on('message', (message) => message.type === 'error' && message.code === 'NOT_NOW'), // wrong
  client.on('message', ({ type }) => type === 'stepz'), // wrong
  client.send('steps', []), // wrong
  client.on('open', () => {}), // wrong
  client.on('recovered', ({ offset }) => offset), // wrong
  connections({ sort: 'members' }), // wrong
  connections({ filter: { kind: 'relay' } }), // wrong
  documents({ filter: { path: '/ws/fabric' } }), // wrong
  metrics().map(({ values }) => values[0]?.sum), // wrong
];

hub.paths.push('/ws/other'); // wrong
