// Servers that were written for the npm package ws, unchanged, on sockets of a handler; with their own clients.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import { registerHandler } from '@captify-io/hub';
import WebSocket from 'ws';
import { HubServer, uniqueId } from './support/hub-server.mjs';
import { until } from './support/processes.mjs';

// y-websocket's helper is CommonJS, and there must be one yjs.
const require = createRequire(import.meta.url);
const Y = require('yjs');

async function withServer(t, handler) {
  const faults = [];
  registerHandler({
    onMessage() {},
    onClose() {},
    onError: (_ws, error) => faults.push(error),
    ...handler,
  });
  const server = await HubServer.start();
  t.after(() => server.close());
  return { server, faults };
}

/** Two clients write at once, one of them is cut off meanwhile, and a third comes when they are gone. */
async function converges(t, open) {
  const [a, b] = [open(), open()];
  await until('both to have synced', () => a.provider.synced && b.provider.synced);
  for (let index = 0; index < 50; index += 1) {
    a.doc.getText('text').insert(0, 'a');
    b.doc.getText('text').insert(0, 'b');
  }
  const text = ({ doc }) => doc.getText('text').toString();
  await until('the texts to be one', () => text(a).length === 100 && text(a) === text(b));
  b.cut();
  a.doc.getText('text').insert(0, 'while b was away ');
  await until('b to have come back', () => text(b) === text(a));
  a.provider.awareness.setLocalStateField('name', 'a');
  await until('b to see a', () => [...b.provider.awareness.getStates().values()].some(({ name }) => name === 'a'));
  const written = text(a);
  const late = open();
  await until('a late one to have all', () => text(late) === written);
  for (const { provider, doc, disconnect } of [a, b, late]) {
    provider.destroy();
    doc.destroy();
    disconnect?.();
  }
}

test("y-websocket's setupWSConnection serves its provider, whose rooms are in the path", async (t) => {
  const { docs, setupWSConnection } = require('y-websocket/bin/utils');
  // Each keeps a timer for as long as it lives.
  t.after(() => docs.forEach((doc) => doc.destroy()));
  const { WebsocketProvider } = require('y-websocket');
  const root = `/ws/${uniqueId('yjs')}`;
  const { server, faults } = await withServer(t, {
    path: `${root}/*`,
    onConnect: (ws, request) => setupWSConnection(ws, request, { docName: ws.subpath }),
  });
  const room = uniqueId('room');
  await converges(t, () => {
    const doc = new Y.Doc();
    const provider = new WebsocketProvider(`${server.base}${root}`, room, doc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true,
    });
    return { doc, provider, cut: () => provider.ws.terminate() };
  });
  assert.deepEqual(faults, []);
});

test("Hocuspocus' handleConnection serves its provider", async (t) => {
  const { Hocuspocus } = require('@hocuspocus/server');
  const { HocuspocusProvider, HocuspocusProviderWebsocket } = require('@hocuspocus/provider');
  const hocuspocus = new Hocuspocus({ quiet: true });
  t.after(() => hocuspocus.documents.forEach((document) => document.destroy()));
  const path = `/ws/${uniqueId('hocuspocus')}`;
  const { server, faults } = await withServer(t, {
    path,
    onConnect: (ws, request) => void hocuspocus.handleConnection(ws, request),
  });
  const name = uniqueId('room');
  await converges(t, () => {
    const doc = new Y.Doc();
    const websocketProvider = new HocuspocusProviderWebsocket({
      url: `${server.base}${path}`,
      WebSocketPolyfill: WebSocket,
    });
    const provider = new HocuspocusProvider({ websocketProvider, name, document: doc });
    provider.attach();
    // While the server is there: one that has begun to look for it again goes on for ever, destroyed or not.
    const disconnect = () => websocketProvider.destroy();
    return { doc, provider, disconnect, cut: () => websocketProvider.webSocket.terminate() };
  });
  assert.deepEqual(faults, []);
});
