// @captify-io/hub/agent-client: a chat transport for useChat of the AI SDK over an agent endpoint. For browsers; it
// imports nothing.

const CONNECT_TIMEOUT_MS = 10_000;
/** The n-th wait is random between a tenth of and all of this, doubled n times, up to `longestRetryMs`. */
const FIRST_RETRY_MS = 500;

/** What a stream of the transport fails with: a code of the wire, or `CLOSED` or `UNREACHABLE`. */
export class AgentError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'AgentError';
    this.code = code;
  }
}

/** Codes after which asking again would change nothing; all others are worth another try. */
function isFinal(code) {
  return [1002, 1003, 1007, 1008, 1009].includes(code) || (code >= 4400 && code < 4500);
}

/** Not randomUUID, which browsers have only in secure contexts. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One stream on its way to whoever asked for it. */
class Reading {
  seq = 0;
  #controller;
  #isText = false;

  /** @param {string} [request] the message that asks for it, for as long as the server may not have got it */
  constructor(streamId, request, onCancel) {
    this.streamId = streamId;
    this.request = request;
    const start = (controller) => (this.#controller = controller);
    this.stream = new ReadableStream({ start, cancel: () => onCancel(this) });
  }

  push(seq, chunk) {
    if (seq <= this.seq) return;
    this.seq = seq;
    if (typeof chunk !== 'string') {
      this.#controller.enqueue(chunk);
      return;
    }
    // A server without the AI SDK sends plain text.
    if (!this.#isText) this.#controller.enqueue({ type: 'text-start', id: 'text' });
    this.#isText = true;
    this.#controller.enqueue({ type: 'text-delta', id: 'text', delta: chunk });
  }

  end(isAborted) {
    if (this.#isText) this.#controller.enqueue({ type: 'text-end', id: 'text' });
    if (isAborted) this.#controller.enqueue({ type: 'abort' });
    this.#controller.close();
  }

  fail(error) {
    this.#controller.error(error);
  }
}

/** One thread's socket, which comes back by itself as long as somebody reads a stream of it. */
class Connection {
  #threadId;
  #options;
  #socket;
  #isOpen = false;
  #timer;
  #tries = 0;
  #downSince;
  /** Streams the server has, each with whether it runs: what it said at connect, and those that started since. */
  #streams = new Map();
  #readings = new Map();
  /** Streams to end; each is asked for again after a cut, until the server has said that it ended. */
  #aborts = new Set();
  /** Those who wait for the server's word, to know what there is. */
  #waiting = [];

  constructor(threadId, options) {
    this.#threadId = threadId;
    this.#options = options;
  }

  /** Asks for a new stream. */
  request(data) {
    const streamId = randomId();
    const request = JSON.stringify({ type: 'stream', threadId: this.#threadId, streamId, data });
    const reading = this.#read(streamId, request);
    if (this.#isOpen) this.#socket.send(request);
    return reading;
  }

  /** Reads a stream from its start: the one this window was reading, also if it has ended, or else the newest that runs. */
  async resume() {
    if (!this.#isOpen) {
      await new Promise((resolve, reject) => {
        this.#waiting.push({ resolve, reject });
        this.#connect();
      });
    }
    const streamId = this.#resumable();
    if (streamId === undefined) {
      this.#remember(undefined);
      this.#rest();
      return undefined;
    }
    const reading = this.#read(streamId);
    this.#recover(reading);
    return reading;
  }

  /** Ends a stream for everybody. */
  abort(reading) {
    if (this.#readings.get(reading.streamId) !== reading) return;
    this.#drop(reading);
    // useChat also aborts a reading when it starts another one of the same stream, which then is there in a moment.
    setTimeout(() => {
      if (this.#readings.has(reading.streamId)) return;
      this.#aborts.add(reading.streamId);
      if (this.#isOpen) this.#sendAbort(reading.streamId);
      else this.#connect();
    });
  }

  close() {
    this.#fail(new AgentError('CLOSED', 'The transport was closed'));
  }

  #resumable() {
    const remembered = this.#remembered();
    if (this.#streams.has(remembered)) return remembered;
    return [...this.#streams.keys()].filter((id) => this.#streams.get(id)).pop();
  }

  #read(streamId, request) {
    this.#readings.get(streamId)?.end();
    const reading = new Reading(streamId, request, (cancelled) => this.#drop(cancelled));
    this.#readings.set(streamId, reading);
    this.#remember(streamId);
    this.#connect();
    return reading;
  }

  #drop(reading) {
    if (this.#readings.get(reading.streamId) !== reading) return;
    this.#readings.delete(reading.streamId);
    if (this.#remembered() === reading.streamId) this.#remember(undefined);
    this.#rest();
  }

  #connect() {
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.('online', this.#retry);
    if (this.#socket) {
      if (!this.#isOpen) this.#timer = setTimeout(() => this.#lost(0, 'no answer'), CONNECT_TIMEOUT_MS);
      return;
    }
    const { url, WebSocket } = this.#options;
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace('http', 'ws');
    address.searchParams.set('threadId', this.#threadId);
    const socket = new WebSocket(address.href);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(0, 'no answer'), CONNECT_TIMEOUT_MS);
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    // npm ws throws an error nobody listens to; its close event follows.
    socket.onerror = () => {};
  }

  #receive(message) {
    const { type, streamId } = message;
    if (type === 'connected') this.#opened(message.streams);
    const reading = this.#readings.get(streamId);
    if (reading) reading.request = undefined;
    if (type === 'started') this.#streams.set(streamId, true);
    else if (type === 'chunk') reading?.push(message.seq, message.chunk);
    else if (type === 'done' || (type === 'error' && streamId !== undefined)) {
      this.#streams.delete(streamId);
      if (this.#aborts.delete(streamId)) this.#rest();
      if (!reading) return;
      this.#drop(reading);
      if (type === 'done') reading.end(message.aborted);
      else reading.fail(new AgentError(message.code, message.message));
    }
  }

  #opened(streams) {
    clearTimeout(this.#timer);
    this.#isOpen = true;
    this.#tries = 0;
    this.#downSince = undefined;
    this.#streams = new Map(streams.map(({ streamId, state }) => [streamId, state === 'running']));
    for (const reading of [...this.#readings.values()]) {
      if (this.#streams.has(reading.streamId)) this.#recover(reading);
      else if (reading.request) this.#socket.send(reading.request);
      else {
        this.#drop(reading);
        reading.fail(new AgentError('UNKNOWN_STREAM', 'The server has the stream no more'));
      }
    }
    for (const streamId of this.#aborts) this.#sendAbort(streamId);
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#rest();
  }

  #recover({ streamId, seq }) {
    this.#socket.send(JSON.stringify({ type: 'recover', threadId: this.#threadId, streamId, seq }));
  }

  #sendAbort(streamId) {
    this.#socket.send(JSON.stringify({ type: 'abort', threadId: this.#threadId, streamId }));
  }

  /** A socket that nobody reads from is closed after a while. */
  #rest() {
    if (!this.#isOpen || this.#isNeeded()) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#isNeeded() || this.#hangUp(), this.#options.idleMs);
  }

  #isNeeded() {
    return this.#readings.size + this.#aborts.size + this.#waiting.length > 0;
  }

  #lost(code, reason) {
    this.#hangUp();
    const because = reason ? `${code} ${reason}` : String(code);
    if (isFinal(code)) return this.#fail(new AgentError('CLOSED', `The server closed the connection: ${because}`));
    if (!this.#isNeeded()) return;
    this.#downSince ??= Date.now();
    const { giveUpMs, longestRetryMs } = this.#options;
    if (Date.now() - this.#downSince >= giveUpMs) {
      return this.#fail(new AgentError('UNREACHABLE', `The server could not be reached: ${because}`));
    }
    const longest = Math.min(longestRetryMs, FIRST_RETRY_MS * 2 ** this.#tries);
    this.#tries += 1;
    this.#timer = setTimeout(this.#retry, longest * (0.1 + 0.9 * Math.random()));
    // A network that is back is no time to sit out a wait.
    globalThis.addEventListener?.('online', this.#retry);
  }

  #retry = () => {
    if (this.#isNeeded()) this.#connect();
  };

  /** Lets go of the socket without waiting for it: on a dead network its close event may take a minute. */
  #hangUp() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isOpen = false;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #fail(error) {
    this.#hangUp();
    this.#tries = 0;
    this.#downSince = undefined;
    this.#aborts.clear();
    for (const reading of [...this.#readings.values()]) {
      this.#drop(reading);
      reading.fail(error);
    }
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #remembered() {
    return this.#options.storage?.getItem(`captify-agent:${this.#threadId}`) ?? undefined;
  }

  #remember(streamId) {
    const key = `captify-agent:${this.#threadId}`;
    try {
      if (streamId === undefined) this.#options.storage?.removeItem(key);
      else this.#options.storage?.setItem(key, streamId);
    } catch {
      // A full storage costs a stream that ends during a reload, no more.
    }
  }
}

function sessionStorageOrNone() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined; // closed to this page
  }
}

/** See agent-client.d.mts. */
export class AgentChatTransport {
  #options;
  #connections = new Map();

  constructor({
    url = '/ws/agent',
    prepareData,
    storage,
    idleMs = 10_000,
    giveUpMs = 120_000,
    longestRetryMs = 15_000,
    WebSocket,
  } = {}) {
    this.#options = {
      url,
      prepareData: prepareData ?? (({ chatId, body, ...rest }) => ({ ...body, id: chatId, ...rest })),
      storage: storage === undefined ? sessionStorageOrNone() : storage,
      idleMs,
      giveUpMs,
      longestRetryMs,
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
