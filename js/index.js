'use strict';

// What route handlers import. It must stay plain JavaScript without an import of Node's or of the binary: bundlers copy
// it into every route, `next build` evaluates it, and edge functions compile it.

const { createAgentHandler } = require('./shared/agent-handler.js');
const { anyId, endpointPath, id, json, jsonList, text, wellFormed } = require('./shared/arguments.js');
const { addHandlers, fabricHandler } = require('./shared/handler-registry.js');
const { invalid } = require('./shared/errors.js');
const { runningHub, requireHub } = require('./shared/global-hub.js');
const { LONE_SURROGATE } = require('./shared/ids.js');

/** Codes below 3000 by which a server ends a connection of its own will (RFC 6455, section 7.4). */
const CLOSE_CODES = [1000, 1001, 1008, 1012, 1013];

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

function ofHub(name) {
  return async (...given) => requireHub()[name](...given);
}

const OF_HUB = 'submitSteps submitUpdate editDocument getDocument renewSession';
const [submitSteps, submitUpdate, editDocument, getDocument, renewSession] = OF_HUB.split(' ').map(ofHub);

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

async function setAccess(about, access) {
  const { userId, documentId } = about ?? {};
  if (!['read', 'write', false].includes(access)) invalid("access must be 'read', 'write' or false");
  const of = [anyId(userId, 'userId'), id(documentId, 'documentId')];
  return requireHub().setAccess(...of, access);
}

async function disconnectUser(userId, code = 4401, reason = 'Unauthorized') {
  const isOwn = Number.isInteger(code) && code >= 3000 && code <= 4999;
  if (!isOwn && !CLOSE_CODES.includes(code)) invalid(`code must be ${CLOSE_CODES.join(', ')}, or from 3000 to 4999`);
  const close = [anyId(userId, 'userId'), code, wellFormed(reason, 'reason')];
  return requireHub().disconnectUser(...close);
}

async function recheckAccess(documentId) {
  const of = id(documentId, 'documentId');
  return requireHub().recheckAccess(of);
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
};
