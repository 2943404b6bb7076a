// How an app uses both entry points; types.test.mjs compiles it in every way apps are compiled. It is never run.
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import {
  broadcastAcceptedChange,
  broadcastPendingChange,
  broadcastRejectedChange,
  broadcastSteps,
  broadcastStepsToClient,
  connections,
  createWebSocketManager,
  disconnectConnection,
  documents,
  health,
  inspectDocument,
  metrics,
  metricsText,
  registerMetrics,
  saveDocument,
  securityEvents,
  fabricHandler,
  clusterCounts,
  getConnectedDocuments,
  processes,
  type ClusterCounts,
  type ProcessInfo,
  getConnectionCount,
  registerHandler,
  registerHandlers,
  type ExtendedWebSocket,
  createAgentHandler as createAgentHandlerOfBefore,
  disconnectUser,
  publish,
  recheckAccess,
  renewSession,
  setAccess,
  type HubError,
  type ConnectionInfo,
  type DocumentInside,
  type Health,
  type HubErrorCode,
  type Metric,
  type SecurityEvent,
  type WebSocketHandler,
  type WebSocketManager,
} from '@captify-io/hub';
import {
  createAgentHandler,
  type AgentClientMessage,
  type AgentErrorCode,
  type AgentServerMessage,
} from '@captify-io/hub/agent';
import { createAdminRoute, type AdminAnswer, type AdminRoute, type AdminRouteOptions } from '@captify-io/hub/admin';
import { FabricClient, type FabricClientOptions, type FabricMessage, type FabricStatus } from '@captify-io/hub/client';
import {
  authJs,
  createHub,
  startServer,
  type CloseReport,
  type Hub,
  type HubOptions,
  type RunningServer,
  type SecurityEventCode,
  type ServerOptions,
} from '@captify-io/hub/server';
import { Registry } from 'prom-client';

class Step {
  toJSON(): unknown {
    return { stepType: 'replace' };
  }
}

function isHubError(error: unknown): error is HubError {
  return error instanceof Error && error.name === 'HubError';
}

export async function route(): Promise<number> {
  const steps: readonly Step[] = [new Step()];
  try {
    let delivered: number = await broadcastSteps('document', steps, 'change');
    delivered += await broadcastStepsToClient('document', 'client', [{ from: 1 }], 'change');
    delivered += await broadcastPendingChange('document', { id: 'change' });
    delivered += await broadcastAcceptedChange('document', 'change', steps);
    delivered += await broadcastRejectedChange('document', 'change');
    return delivered;
  } catch (error) {
    if (!isHubError(error)) throw error;
    const code: HubErrorCode = error.code;
    return code === 'HUB_NOT_RUNNING' || code === 'HUB_OVERLOADED' ? 0 : -1;
  }
}

export async function watch(hub: Hub): Promise<number> {
  const { live, ready, reasons }: Health = health();
  const all: Metric[] = metrics();
  for (const metric of all) {
    if (metric.type === 'histogram') console.log(metric.values.map(({ sum, count }) => sum / count));
    else console.log(metric.values.map(({ labels, value }) => `${labels['code'] ?? ''} ${value}`));
  }
  registerMetrics(new Registry());
  const slow = await connections({ limit: 10, sort: 'waiting', filter: { slow: true, olderThanMs: 60_000 } });
  const [first]: ConnectionInfo[] = slow.connections;
  if (first && (first.access ?? 'write') === 'write') await disconnectConnection(first.id, 4001, 'Too slow');
  const unsaved = await documents({ sort: 'unsaved', filter: { kind: 'steps', document: 'reports/' } });
  for (const { id, unsavedSince = Date.now() } of unsaved.documents) {
    if (Date.now() - unsavedSince > 60_000 && (await saveDocument(id)) === 'saved') console.log(id);
  }
  const inside: DocumentInside | null = await inspectDocument('document');
  const events: SecurityEvent[] = securityEvents({ limit: 5 });
  console.log(live, ready, reasons.join(), metricsText(), inside?.memberList[0]?.position, events[0]?.code);
  return hub.metrics().length + hub.metricsText().length + Number(hub.health().ready);
}

export async function administer(request: Request): Promise<number> {
  const changed: number = await setAccess({ userId: 'anna', documentId: 'document' }, false);
  await disconnectUser('anna');
  await disconnectUser('anna', 4001, 'Moved');
  await renewSession(request);
  await renewSession({ userId: 'anna', expiresAt: new Date() });
  return changed + (await recheckAccess('document')) + (await renewSession({ sessionId: 's', expiresAt: Date.now() }));
}

export function monitor(): Record<string, number> {
  const manager: WebSocketManager = createWebSocketManager();
  const documents: string[] = getConnectedDocuments();
  const counts = Object.fromEntries(documents.map((id) => [id, getConnectionCount(id)]));
  return { ...counts, fabric: manager.getConnectionCount('/ws/fabric') };
}

export async function monitorAll(): Promise<string> {
  const counts: ClusterCounts = await clusterCounts();
  const [first]: ProcessInfo[] = await processes();
  const ofDocument: number = counts.documents.get('document') ?? 0;
  return `${first?.host}:${first?.pid} ${first?.since.getTime()} ${counts.processes} ${counts.connections} ${ofDocument}`;
}

export async function notify(): Promise<number> {
  return createWebSocketManager().broadcast('/ws/fabric', { type: 'notice' });
}

export async function tell(ws: ExtendedWebSocket): Promise<number> {
  const isMember: boolean = ws.join('room', { slowAboveBytes: 65_536 }) && ws.join('other');
  ws.on('slow', (room: string) => ws.leave(room));
  const count: number = await publish('/ws/agent', 'room', 'hello', { except: ws });
  await createWebSocketManager().publish('/ws/agent', 'room', Buffer.from([1]));
  return isMember ? count : 0;
}

/** As captify's guide writes a handler. */
const agentHandler: WebSocketHandler = {
  path: '/ws/agent',
  async onConnect(ws: ExtendedWebSocket, req: IncomingMessage) {
    const url = new URL(req.url!, `http://${req.headers.host}`);
    ws.threadId = url.searchParams.get('threadId');
    ws.isAlive = true;
    ws.on('pong', function () {
      this.isAlive = true;
    });
    ws.on('message', (data: Buffer, isBinary: boolean) => console.log(data.length, isBinary));
    ws.on('close', (code: number, reason: Buffer) => console.log(code, reason.toString()));
    ws.on('error', (error: Error) => console.log(error.message));
    ws.ping();
  },
  async onMessage(ws: ExtendedWebSocket, message: string | Buffer) {
    const data: { type: string } = JSON.parse(message.toString());
    if (ws.readyState !== ws.OPEN || ws.bufferedAmount > 1e6) return;
    ws.send(JSON.stringify({ type: data.type, threadId: ws.threadId }));
    ws.send(Buffer.from([1]), (error?: Error) => console.log(error?.message));
    ws.send(new Uint8Array(2), { binary: true });
    const isOpen: boolean = await ws.flushed(65_536);
    if (!isOpen) ws.terminate();
  },
  onClose: async (ws: ExtendedWebSocket, code: number, reason: Buffer) => console.log(ws.userId, code, reason),
  async onError(ws: ExtendedWebSocket, error: Error) {
    ws.close(1011, error.message);
  },
};

interface Seat {
  threadId: string;
  isAlive: boolean;
}

/** A handler that keeps its own things in a place with a type. */
const seatedHandler: WebSocketHandler<Seat> = {
  path: '/ws/seated',
  onConnect(ws, req) {
    ws.data = { threadId: String(req.url), isAlive: true };
    ws.on('pong', () => (ws.data.isAlive = true));
    ws.onmessage = ({ target }) => console.log(target.data.threadId);
  },
  onMessage(ws: ExtendedWebSocket<Seat>) {
    const threadId: string = ws.data.threadId;
    if (!ws.data.isAlive) ws.close(1000, threadId);
  },
  onClose: ({ data }) => console.log(data.threadId),
  onError() {},
};

/** A handler may use what it is given without naming its types. */
const shortHandler: WebSocketHandler = {
  path: '/ws/short',
  onConnect(ws, req) {
    ws.userId = req.headers.cookie;
    ws.data.cookie = ws.userId;
  },
  onMessage: (ws, message) => ws.send(message),
  onClose() {},
  onError() {},
};

export function register(): void {
  const handlers: WebSocketHandler[] = [fabricHandler, agentHandler, seatedHandler];
  registerHandlers(handlers);
  registerHandler(shortHandler);
  registerHandler(seatedHandler);
  createWebSocketManager().registerHandler(shortHandler);
}

export async function serve(): Promise<CloseReport> {
  const options: HubOptions = {
    threads: 1,
    maxMessageBytes: 1 << 20,
    maxOutboxBytes: 4 << 20,
    maxInboxBytes: 1 << 20,
    registrationTimeoutMs: 10_000,
    heartbeatIntervalMs: 30_000,
    maxDepth: 1000,
    recoveryWindowMs: 60_000,
    historyMaxMessages: 1000,
    historyMaxBytes: 1 << 20,
    historyTotalBytes: 16 << 20,
    tokenSecret: 'a secret of at least thirty-two bytes',
    stateDir: './.hub',
    drainMs: 2000,
    handOver: true,
    logLevel: 'warn',
    logFormat: 'json',
    session: authJs({
      secret: ['new', 'old'],
      cookieNames: 'session',
      user: (claims) => ({ id: String(claims.email) }),
    }),
    sessionWarningMs: 60_000,
    access: async ({ user, documentId, clientID, req }) =>
      user?.id === documentId ? 'write' : req?.headers.cookie && clientID ? 'read' : false,
    admissionTimeoutMs: 5000,
    allowedOrigins: ['https://*.example'],
    trustProxy: ['loopback', '10.0.0.0/8'],
    limits: { messagesPerSecond: 100, connections: false },
    onSecurityEvent: ({ code, count, user }) => {
      const known: SecurityEventCode = code;
      if (code === 'SESSION_FORGED') console.log(known, count, user);
    },
  };
  const own: HubOptions = {
    session: async (request) => (request.headers.cookie ? { id: 'anna' } : null),
    limits: false,
  };
  createHub(own);
  const shared: Required<HubOptions>['redis'][] = [
    'redis://127.0.0.1',
    { url: 'rediss://redis.internal', password: 'secret', tls: { ca: './ca.pem', servername: 'redis.internal' } },
    { sentinels: ['10.0.0.1:26379', '10.0.0.2'], name: 'main', sentinelPassword: 'secret', database: 1 },
    { cluster: ['10.0.0.1:7000'], username: 'hub', tls: true, waitMs: 10_000 },
    false,
  ];
  for (const redis of shared) createHub({ redis });
  const hub: Hub = createHub(options);
  const [server, secure] = [createServer(), createSecureServer()];
  const detach: () => void = hub.attach(server);
  hub.attach(secure);
  server.on('upgrade', (request, socket, head) => {
    if (hub.owns(request.url)) hub.upgrade(request, socket, head);
  });
  const paths: readonly string[] = hub.paths;
  console.log(paths.join());
  detach();
  const { connections, events } = hub.stats();
  console.log(connections, events.RATE_LIMITED);
  const report = await hub.close({ timeoutMs: 1000 });
  return report.terminated === 0 ? report : hub.close();
}

export async function start(): Promise<void> {
  const options: ServerOptions = {
    dir: '.',
    dev: false,
    port: 0,
    hostname: 'localhost',
    shutdownTimeoutMs: 8000,
    next: { turbopack: true },
    hub: { logLevel: 'off' },
    banner: (text) => console.log(text),
  };
  const running: RunningServer = await startServer(options);
  console.log(running.url, running.port, running.hub.paths, running.server.listening);
  await running.close();
  await startServer();
}

interface Prompt {
  prompt: string;
}

export const agents = [
  createAgentHandlerOfBefore<Prompt>({
    onRequest: async function* ({ data }) {
      yield data.prompt;
    },
  }),
  createAgentHandler<Prompt>({
    async *onRequest({ data, signal, streamId, userId }) {
      const prompt: string = data.prompt;
      if (!signal.aborted) yield `${prompt} ${streamId} ${userId ?? ''}`;
    },
  }),
  createAgentHandler({
    path: '/ws/other-agent',
    onRequest: async ({ data }) =>
      new ReadableStream({ start: (controller) => controller.enqueue({ type: data.type }) }),
    authorize: async ({ threadId, userId, request }) => request.url !== threadId && userId !== undefined,
    onError: (error, { streamId }) => console.error(streamId, error),
    graceMs: false,
    rollUpMs: 0,
    maxStreamsPerThread: 1,
  }),
];

export function answer(message: AgentServerMessage): AgentClientMessage | AgentErrorCode | undefined {
  switch (message.type) {
    case 'connected':
      return message.streams.map(({ streamId }) => ({ type: 'recover' as const, streamId, seq: 0 }))[0];
    case 'chunk':
      return message.seq > 100 ? { type: 'abort', streamId: message.streamId } : undefined;
    case 'error':
      return message.code;
    default:
      return undefined;
  }
}

/** What is true of a browser's socket and of the one of `ws` alike, as far as the client goes. */
declare class AnySocket {
  constructor(url: string);
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export function edit(apply: (update: unknown) => void): () => void {
  const options: FabricClientOptions = {
    documentId: 'document',
    clientID: 'client',
    url: new URL('wss://captify.example/ws/fabric'),
    WebSocket: AnySocket,
    firstWaitMs: 500,
    longestWaitMs: 10_000,
    answerTimeoutMs: 5000,
    silenceMs: 20_000,
    maxMessageBytes: 1 << 20,
    maxQueueBytes: 1 << 22,
    random: Math.random,
  };
  const client = new FabricClient(options);
  client.on('message', (message: FabricMessage) => {
    if (message.type === 'update') apply(message.update);
    if (message.type === 'steps' && 'changeId' in message) console.log(message.changeId, message.steps.length);
    if (message.type === 'error' && message.code === 'RATE_LIMITED') console.log(message.retryInMs);
  });
  client.on('recovered', ({ from, to }) => console.log(to - from));
  client.on('reload', async ({ reason, certain, unacknowledged }) => {
    console.log(reason, certain);
    for (const sent of unacknowledged) if (sent.type === 'steps') client.send('steps', sent.steps, sent.version);
  });
  const off: () => void = client.on('status', (status: FabricStatus) => console.log(status.state, status.retryAt));
  client.on('closed', ({ code, reason }) => console.log(code, reason));
  client.connect();
  const taken: boolean = client.send('update', 'AAA=') && client.send('awareness', {}) && client.send('sync');
  console.log(taken, client.unacknowledged, client.status.reason);
  off();
  return () => client.close();
}

export const { GET, POST }: AdminRoute = createAdminRoute({
  authorize: (request) => request.headers.has('cookie') && { name: 'Ada' },
});

export async function admin(options: AdminRouteOptions): Promise<Response> {
  const answers: AdminAnswer[] = [true, false, null, undefined, { name: 'Ada' }, Response.redirect('/login', 303)];
  createAdminRoute({ authorize: async () => answers[0] });
  createAdminRoute({ authorize: () => Promise.resolve(null) });
  const { GET } = createAdminRoute(options);
  return GET(new Request('http://localhost/admin/hub'), { params: Promise.resolve({ path: ['documents'] }) });
}
