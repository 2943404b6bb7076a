'use strict';

// `createAgentHandler` of `@captify-io/hub` for those who have not changed their import to `@captify-io/hub/agent`: the
// one that the hub's process has brought, so that not every route's bundle has all of it in.

const { HubError } = require('./errors.js');

const KEY = Symbol.for('@captify-io/hub/create-agent-handler@1');

function bringAgentHandler(create) {
  Object.defineProperty(globalThis, KEY, { value: create, configurable: true });
}

function refuse() {
  throw new HubError(
    'HUB_NOT_RUNNING',
    "No hub runs in this process. Deprecated: import { createAgentHandler } from '@captify-io/hub/agent'",
  );
}

/** Without a hub its callbacks say so, not the call: `next build` evaluates routes that make handlers. */
function createAgentHandler(options) {
  const create = globalThis[KEY];
  if (create) return create(options);
  const path = options?.path ?? '/ws/agent';
  return { path, onConnect: refuse, onMessage: refuse, onClose: refuse, onError: refuse };
}

module.exports = { bringAgentHandler, createAgentHandler };
