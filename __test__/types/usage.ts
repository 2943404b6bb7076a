// How an app uses both entry points; types.test.mjs compiles it in every way apps are compiled. It is never run.
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import {
  broadcastAcceptedChange,
  broadcastPendingChange,
  broadcastRejectedChange,
  broadcastSteps,
  broadcastStepsToClient,
  createWebSocketManager,
  getConnectedDocuments,
  getConnectionCount,
  type HubError,
  type HubErrorCode,
  type WebSocketManager,
} from '@captify-io/hub';
import {
  createHub,
  startServer,
  type CloseReport,
  type Hub,
  type HubOptions,
  type RunningServer,
  type ServerOptions,
} from '@captify-io/hub/server';

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

export function monitor(): Record<string, number> {
  const manager: WebSocketManager = createWebSocketManager();
  const documents: string[] = getConnectedDocuments();
  const counts = Object.fromEntries(documents.map((id) => [id, getConnectionCount(id)]));
  return { ...counts, fabric: manager.getConnectionCount('/ws/fabric') };
}

export async function notify(): Promise<number> {
  return createWebSocketManager().broadcast('/ws/fabric', { type: 'notice' });
}

export async function serve(): Promise<CloseReport> {
  const options: HubOptions = {
    threads: 1,
    maxMessageBytes: 1 << 20,
    maxOutboxBytes: 4 << 20,
    heartbeatIntervalMs: 30_000,
    maxDepth: 1000,
    recoveryWindowMs: 60_000,
    historyMaxMessages: 1000,
    historyMaxBytes: 1 << 20,
    historyTotalBytes: 16 << 20,
    tokenSecret: 'a secret of at least thirty-two bytes',
    handOver: true,
    logLevel: 'warn',
  };
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
