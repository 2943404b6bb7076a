'use strict';

/** What a stream of the transport fails with: a code of the wire, or `CLOSED` or `UNREACHABLE`. */
class AgentError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'AgentError';
    this.code = code;
  }
}

module.exports = { AgentError };
