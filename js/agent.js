'use strict';

// What files with agent handlers import. As index.js it must stay plain JavaScript without an import of Node's or of the
// binary: bundlers copy it beside the handlers, and `next build` evaluates it.

const { createAgentHandler } = require('./agent/handler.js');

module.exports = { createAgentHandler };
