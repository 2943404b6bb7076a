// What tests of the package's client stand on: hubs, proxies and servers that end with the test, and clients of them.
import { once } from 'node:events';
import { afterEach } from 'node:test';
import { WebSocketServer } from 'ws';
import { ChaosProxy } from './chaos-proxy.mjs';
import { HubServer, uniqueId } from './hub-server.mjs';
import { RecordedClient } from './recorded-client.mjs';

let deeds = [];

/** Has something ended after the test, the last first. */
export function later(deed) {
  deeds.push(deed);
}

afterEach(async () => {
  for (const deed of deeds.splice(0).reverse()) await deed();
});

export async function startHub(options) {
  const server = await HubServer.start(options);
  later(() => server.close());
  return server;
}

export async function startProxy(server, plan) {
  const proxy = await ChaosProxy.start(server.port, plan);
  later(() => proxy.close());
  return proxy;
}

/** A client that is told to connect; `at` is a server, proxy or base URL. */
export function begin(at, options = {}) {
  const client = make(at, options);
  client.connect();
  return client;
}

export function make(at, options = {}) {
  const url = `${at.base ?? at}/ws/fabric`;
  const client = new RecordedClient({ url, documentId: uniqueId(), clientID: uniqueId('client'), ...options });
  later(() => client.close());
  return client;
}

/** A server that says what a test has it say, and is no hub. */
export async function startActor(onConnection) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  later(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on('connection', (socket, request) => onConnection(socket, request));
  return `ws://127.0.0.1:${server.address().port}`;
}

export const greet = (socket, more = {}) => socket.send(JSON.stringify({ type: 'connected', ...more }));
