'use strict';

// What route handlers import: plain JavaScript without an import of Node's or of the binary, for bundlers copy it into every
// route and edge functions compile it.

const { createAgentHandler } = require('./shared/agent-handler.js');
const { endpointPath, id, json, jsonList, text, wellFormed } = require('./shared/arguments.js');
const { addHandlers, fabricHandler } = require('./shared/handler-registry.js');
const { runningHub, requireHub } = require('./shared/global-hub.js');
const { LONE_SURROGATE } = require('./shared/ids.js');

function toDocument(documentId, message, clientID) {
  return requireHub().publish(documentId, clientID, message);
}

async function publish(path, room, message, { except } = {}) {
  return requireHub().publishToRoom(path, room, message, except);
}

function sendSteps(documentId, steps, changeId, to) {
  const written = jsonList(steps, 'steps');
  const batch = { written, count: steps.length, changeId: text(changeId, 'changeId') };
  return requireHub().broadcastSteps(id(documentId, 'documentId'), batch, to);
}

async function broadcastSteps(documentId, steps, changeId, { version } = {}) {
  return sendSteps(documentId, steps, changeId, { version });
}

async function broadcastStepsToClient(documentId, clientID, steps, changeId) {
  return sendSteps(documentId, steps, changeId, { clientID: id(clientID, 'clientID') });
}

// Checked by the hub, so that no bundle has the checks in it.
const ofHub =
  (name) =>
  async (...given) =>
    requireHub()[name](...given);
const atOnce =
  (name) =>
  (...given) =>
    requireHub()[name](...given);

const [submitSteps, submitUpdate, editDocument, getDocument, renewSession] =
  'submitSteps submitUpdate editDocument getDocument renewSession'.split(' ').map(ofHub);
const [setAccess, disconnectUser, recheckAccess, disconnectConnection, saveDocument] =
  'setAccess disconnectUser recheckAccess disconnectConnection saveDocument'.split(' ').map(ofHub);
const [connections, documents, inspectDocument, clusterCounts, processes] =
  'connections listDocuments inspectDocument clusterCounts processes'.split(' ').map(ofHub);
const [metrics, metricsText, registerMetrics, securityEvents] = 'metrics metricsText registerMetrics securityEvents'
  .split(' ')
  .map(atOnce);

function health() {
  return runningHub()?.health() ?? { live: true, ready: false, reasons: ['the hub has not started'] };
}

async function broadcastPendingChange(documentId, change) {
  return toDocument(id(documentId, 'documentId'), `{"type":"agent-change-pending","change":${json(change, 'change')}}`);
}

async function broadcastAcceptedChange(documentId, changeId, steps) {
  const change = JSON.stringify(text(changeId, 'changeId'));
  const message = `{"type":"agent-change-accepted","changeId":${change},"steps":${jsonList(steps, 'steps')}}`;
  return toDocument(id(documentId, 'documentId'), message);
}

async function broadcastRejectedChange(documentId, changeId) {
  const message = JSON.stringify({ type: 'agent-change-rejected', changeId: text(changeId, 'changeId') });
  return toDocument(id(documentId, 'documentId'), message);
}

/** What is no name has none. */
function count(of, name) {
  return typeof name === 'string' && !LONE_SURROGATE.test(name) ? (runningHub()?.[of](name) ?? 0) : 0;
}

function getConnectionCount(documentIdOrEndpoint) {
  return count('connectionCount', documentIdOrEndpoint);
}

function getConnectedDocuments() {
  return runningHub()?.documents() ?? [];
}

function registerHandlers(handlers) {
  for (const handler of addHandlers(handlers)) runningHub()?.serve(handler);
}

function registerHandler(handler) {
  registerHandlers([handler]);
}

function createWebSocketManager() {
  return {
    registerHandler,
    getConnectionCount(path) {
      return count('endpointCount', path);
    },
    async broadcast(path, message) {
      const payload = typeof message === 'string' ? wellFormed(message, 'message') : json(message, 'message');
      const to = endpointPath(path, 'path');
      return requireHub().broadcast(to, payload);
    },
    publish,
  };
}

module.exports = {
  broadcastSteps,
  broadcastStepsToClient,
  broadcastPendingChange,
  broadcastAcceptedChange,
  broadcastRejectedChange,
  submitSteps,
  submitUpdate,
  editDocument,
  getDocument,
  getConnectionCount,
  getConnectedDocuments,
  createWebSocketManager,
  publish,
  registerHandler,
  registerHandlers,
  fabricHandler,
  createAgentHandler,
  setAccess,
  disconnectUser,
  recheckAccess,
  renewSession,
  disconnectConnection,
  saveDocument,
  connections,
  documents,
  inspectDocument,
  clusterCounts,
  processes,
  metrics,
  metricsText,
  registerMetrics,
  securityEvents,
  health,
};
