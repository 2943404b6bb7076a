'use strict';

// `@captify-io/hub/agent-client`, of which scripts/agent-client.mjs makes one file that imports nothing.

const { Connection } = require('./agent-connection.js');

function sessionStorageOrNone() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined; // closed to this page
  }
}

/** See agent-client.d.mts. */
class AgentChatTransport {
  #options;
  #connections = new Map();

  constructor({
    url = '/ws/agent',
    prepareData,
    storage,
    idleMs = 10_000,
    giveUpMs = 120_000,
    unansweredMs = 20_000,
    longestRetryMs = 15_000,
    answerTimeoutMs = 10_000,
    silenceMs = 20_000,
    maxMessageBytes = 16 * 1024 * 1024,
    WebSocket,
  } = {}) {
    this.#options = {
      url,
      prepareData: prepareData ?? (({ chatId, body, ...rest }) => ({ ...body, id: chatId, ...rest })),
      storage: storage === undefined ? sessionStorageOrNone() : storage,
      idleMs,
      giveUpMs,
      unansweredMs,
      firstWaitMs: 500,
      longestRetryMs,
      answerTimeoutMs,
      silenceMs,
      maxMessageBytes,
      WebSocket: WebSocket ?? globalThis.WebSocket,
    };
  }

  async sendMessages({ abortSignal, chatId, messages, trigger, messageId, body, metadata }) {
    abortSignal?.throwIfAborted();
    const data = this.#options.prepareData({ chatId, messages, trigger, messageId, body, metadata });
    const connection = this.#connection(chatId);
    return readable(connection, connection.request(data), abortSignal);
  }

  async reconnectToStream({ chatId, abortSignal }) {
    const connection = this.#connection(chatId);
    const reading = await connection.resume();
    return reading ? readable(connection, reading, abortSignal) : null;
  }

  close() {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #connection(threadId) {
    const connection = this.#connections.get(threadId) ?? new Connection(threadId, this.#options);
    this.#connections.set(threadId, connection);
    return connection;
  }
}

/** The stream of a reading, which `signal` ends as it ends a fetch. */
function readable(connection, reading, signal) {
  const abort = () => {
    connection.abort(reading);
    reading.fail(signal.reason);
  };
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  return reading.stream;
}

module.exports = { AgentChatTransport };
