'use strict';

// What server.mjs imports. The binary is loaded by createHub, not here.

const { authJs } = require('./admission/auth-js.js');
const { createAgentHandler } = require('./agent/handler.js');
const { createHub } = require('./hub/hub.js');
const { startServer } = require('./next/start-server.js');
const { bringAgentHandler } = require('./shared/agent-handler.js');

bringAgentHandler(createAgentHandler);

module.exports = { authJs, createHub, startServer };
