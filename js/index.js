'use strict';

// What route handlers import. It must stay plain JavaScript without an import of Node's or of the binary: bundlers copy
// it into every route, `next build` evaluates it, and edge functions compile it.

const { define, fabricHandler } = require('./definitions.js');
const { createAgentHandler } = require('./agent/handler.js');
const { invalid } = require('./errors.js');
const { runningHub, requireHub } = require('./registry.js');

/** Who ProseMirror's collab module takes a step of a route handler to come from. */
const AGENT = 'agent';

function text(value, name) {
  if (typeof value !== 'string' || value === '') invalid(`${name} must be a non-empty string`);
  return value;
}

function stepList(steps) {
  if (!Array.isArray(steps)) invalid('steps must be an array');
  return steps;
}

function json(value, name) {
  let written;
  try {
    written = JSON.stringify(value);
  } catch (error) {
    invalid(`${name} has no JSON: ${error.message}`);
  }
  if (written === undefined) invalid(`${name} has no JSON`);
  return written;
}

function stepsMessage(steps, changeId) {
  const clientIDs = Array.from(stepList(steps), () => AGENT);
  return json({ type: 'steps', steps, clientIDs, changeId: text(changeId, 'changeId') }, 'steps');
}

function publish(documentId, message, clientID) {
  return requireHub().publish(text(documentId, 'documentId'), clientID, message);
}

async function broadcastSteps(documentId, steps, changeId) {
  return publish(documentId, stepsMessage(steps, changeId));
}

async function broadcastStepsToClient(documentId, clientID, steps, changeId) {
  return publish(documentId, stepsMessage(steps, changeId), text(clientID, 'clientID'));
}

async function broadcastPendingChange(documentId, change) {
  // Written by itself: inside an object a value without JSON, such as a function, would vanish with its key.
  return publish(documentId, `{"type":"agent-change-pending","change":${json(change, 'change')}}`);
}

async function broadcastAcceptedChange(documentId, changeId, steps) {
  const message = { type: 'agent-change-accepted', changeId: text(changeId, 'changeId'), steps: stepList(steps) };
  return publish(documentId, json(message, 'steps'));
}

async function broadcastRejectedChange(documentId, changeId) {
  return publish(documentId, json({ type: 'agent-change-rejected', changeId: text(changeId, 'changeId') }, 'changeId'));
}

async function setAccess({ userId, documentId } = {}, access) {
  if (!['read', 'write', false].includes(access)) invalid("access must be 'read', 'write' or false");
  return requireHub().setAccess(text(userId, 'userId'), text(documentId, 'documentId'), access);
}

async function disconnectUser(userId, code = 4401, reason = 'Unauthorized') {
  // What a server may send (RFC 6455, section 7.4).
  const isCode =
    Number.isInteger(code) && ((code >= 3000 && code <= 4999) || [1000, 1001, 1008, 1012, 1013].includes(code));
  if (!isCode) invalid('code must be 1000, 1001, 1008, 1012, 1013, or from 3000 to 4999');
  if (typeof reason !== 'string') invalid('reason must be a string');
  return requireHub().disconnectUser(text(userId, 'userId'), code, reason);
}

async function recheckAccess(documentId) {
  return requireHub().recheckAccess(text(documentId, 'documentId'));
}

async function renewSession(requestOrSession) {
  return requireHub().renewSession(requestOrSession);
}

function getConnectionCount(documentIdOrEndpoint) {
  return runningHub()?.connectionCount(String(documentIdOrEndpoint)) ?? 0;
}

function getConnectedDocuments() {
  return runningHub()?.documents() ?? [];
}

function registerHandlers(handlers) {
  for (const handler of define(handlers)) runningHub()?.serve(handler);
}

function registerHandler(handler) {
  registerHandlers([handler]);
}

function createWebSocketManager() {
  return {
    registerHandler,
    getConnectionCount(path) {
      return runningHub()?.endpointCount(String(path)) ?? 0;
    },
    async broadcast(path, message) {
      const payload = typeof message === 'string' ? message : json(message, 'message');
      return requireHub().broadcast(text(path, 'path'), payload);
    },
  };
}

module.exports = {
  broadcastSteps,
  broadcastStepsToClient,
  broadcastPendingChange,
  broadcastAcceptedChange,
  broadcastRejectedChange,
  getConnectionCount,
  getConnectedDocuments,
  createWebSocketManager,
  registerHandler,
  registerHandlers,
  fabricHandler,
  createAgentHandler,
  setAccess,
  disconnectUser,
  recheckAccess,
  renewSession,
};
