'use strict';

// What server.mjs imports. The binary is loaded by createHub, not here.

const { authJs } = require('./auth-js.js');
const { createHub } = require('./hub.js');
const { startServer } = require('./start-server.js');

module.exports = { authJs, createHub, startServer };
