'use strict';

// What can be done on the admin page: calls that route handlers have, too, each of them reported with who did it.

const { anyId, id, text } = require('../shared/arguments.js');
const { requireHub } = require('../shared/global-hub.js');
const { report } = require('./report.js');

/** Clients stay away until their page is loaded anew. */
const FORBIDDEN = 4403;
const REASON = 'Disconnected by an administrator';

const ACCESS = ['read', 'write', false];

/** What the hub cannot do at the moment. */
const UNAVAILABLE = ['HUB_NOT_RUNNING', 'HUB_CLOSED', 'HUB_OVERLOADED', 'HUB_UNAVAILABLE'];

/** What an action failed with, as it is told. */
class CallFault extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** By name: what it takes, checked, and the call, whose answer is told. */
const ACTIONS = {
  disconnectConnection: {
    takes: { id: text },
    run: (hub, { id }) => hub.disconnectConnection(id, FORBIDDEN, REASON),
  },
  disconnectUser: {
    takes: { userId: anyId },
    run: (hub, { userId }) => hub.disconnectUser(userId, FORBIDDEN, REASON),
  },
  setAccess: {
    takes: { userId: anyId, documentId: id, access },
    run: (hub, { userId, documentId, access }) => hub.setAccess({ userId, documentId }, access),
  },
  recheckAccess: {
    takes: { documentId: id },
    run: (hub, { documentId }) => hub.recheckAccess(documentId),
  },
  saveDocument: {
    takes: { documentId: id },
    run: (hub, { documentId }) => hub.saveDocument(documentId),
  },
};

function access(value) {
  if (!ACCESS.includes(value))
    throw new CallFault(400, 'HUB_INVALID_ARGUMENT', "access must be 'read', 'write' or false");
  return value;
}

/**
 * @param {string} body the JSON of an action: its name as `action`, and what it takes
 * @param {string | undefined} by who does it
 * @throws {CallFault}
 */
async function act(body, by) {
  const asked = parsed(body);
  const action = Object.hasOwn(ACTIONS, asked.action) ? ACTIONS[asked.action] : undefined;
  if (!action)
    throw new CallFault(400, 'ADMIN_NO_SUCH_ACTION', `there is no action ${String(asked.action).slice(0, 64)}`);
  try {
    const checks = Object.entries(action.takes);
    const given = Object.fromEntries(checks.map(([name, check]) => [name, check(asked[name], name)]));
    return await told(asked.action, given, by, action);
  } catch (error) {
    if (error instanceof CallFault || typeof error?.code !== 'string') throw error;
    const status = error.code === 'HUB_INVALID_ARGUMENT' ? 400 : UNAVAILABLE.includes(error.code) ? 503 : 409;
    throw new CallFault(status, error.code, error.message);
  }
}

/** Runs an action, and reports it whatever comes of it. */
async function told(name, given, by, action) {
  const about = { by, user: given.userId, document: given.documentId };
  const hint = [name, given.id, given.access === false ? 'none' : given.access].filter(Boolean).join(' ');
  try {
    const result = await action.run(requireHub(), given);
    report('ADMIN_ACTION', { ...about, hint: `${hint}: ${result}` });
    return result;
  } catch (error) {
    report('ADMIN_ACTION', { ...about, hint: `${hint}: failed, ${error?.code ?? 'without a code'}` });
    throw error;
  }
}

function parsed(body) {
  try {
    const value = JSON.parse(body);
    if (typeof value === 'object' && value !== null && typeof value.action === 'string') return value;
  } catch {
    // As everything else that is no action.
  }
  throw new CallFault(400, 'ADMIN_NO_ACTION', 'the body must be JSON with the name of an action as action');
}

module.exports = { CallFault, act };
