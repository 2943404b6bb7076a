'use strict';

// What server.mjs imports. The binary is loaded by createHub, not here.

const { authJs } = require('./admission/auth-js.js');
const { createHub } = require('./hub/hub.js');
const { startServer } = require('./next/start-server.js');

module.exports = { authJs, createHub, startServer };
