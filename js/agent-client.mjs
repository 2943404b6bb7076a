// Made by `npm run agent-client` from js/client/agent-transport.js and what it needs, which have the comments.
// @captify-io/hub/agent-client: a chat transport for useChat of the AI SDK over an agent endpoint. For browsers.

const STABLE_MS = 10_000;
const LAST_LOOK_MS = 250;

const NORMAL = 1000;
const SERVICE_RESTART = 1012;
const TRY_AGAIN_LATER = 1013;
const UNREACHED = 'the server is not there, or the network, a proxy or a Content-Security-Policy is in the way';
const LATER_TRIES = 2;
const FINAL_CODES = [NORMAL, 1002, 1003, 1007, 1008, 1009];

const REPLACED = 4409;

const isFinal = (code) => FINAL_CODES.includes(code) || (code >= 4400 && code < 4500 && code !== REPLACED);
const now = () => performance.now();

class ReconnectingSocket {
  state = 'idle';
  #options;
  #socket = null;
  #timer;
  #tries = 0;
  #openedAt = 0;
  #heardAt = 0;
  #isAsking = false;
  constructor(options) {
    this.#options = options;
  }
  connect() {
    if (this.#socket !== null) return;
    try {
      this.#socket = new this.#options.WebSocket(this.#options.address());
    } catch (error) {
      if (this.state !== 'waiting') throw error;
      this.lost(0, `No socket could be made: ${error?.message ?? error}`);
      return;
    }
    const socket = this.#socket;
    socket.onmessage = ({ data }) => {
      this.#heardAt = now();
      if (this.#isAsking) this.#watch();
      this.#options.receive(data);
    };
    let why = 'The connection was lost';
    socket.onclose = ({ code, reason }) => this.lost(code, reason || why);
    socket.onerror = ({ message }) => {
      if (this.state === 'connecting') why = `No connection came about: ${message || UNREACHED}`;
    };
    this.#await('The hub does not answer');
    this.#listenToHints(true);
    this.#set({ state: 'connecting', retryAt: null });
  }
  opened() {
    this.#openedAt = now();
    this.#watch();
    this.#set({ state: 'open', code: 0, reason: '' });
  }
  send(text) {
    this.#socket.send(text);
  }
  expectAnswer() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#await('The hub went silent');
  }
  lost(code, reason) {
    const wasStable = this.state === 'open' && now() - this.#openedAt > STABLE_MS;
    if (this.#options.isFinal(code)) return this.end(code, reason);
    this.#drop();
    if (wasStable) this.#tries = 0;
    const isLater = code === TRY_AGAIN_LATER;
    if (isLater) this.#tries = Math.max(this.#tries, LATER_TRIES);
    const { firstWaitMs, longestWaitMs, random } = this.#options;
    const longest = Math.min(longestWaitMs, firstWaitMs * 2 ** this.#tries);
    const hint = code === SERVICE_RESTART && /; retry (\d{1,6})$/.exec(reason)?.[1];
    const wait = hint ? Number(hint) : isLater ? (longest * (1 + random())) / 2 : longest * random();
    if (!hint) this.#tries += 1;
    this.#in(wait, () => this.connect());
    this.#set({ state: 'waiting', retryAt: Date.now() + wait, code, reason: reason || 'The connection was lost' });
  }
  end(code, reason) {
    this.#drop();
    clearTimeout(this.#timer);
    this.#listenToHints(false);
    this.#tries = 0;
    this.#set({ state: 'closed', retryAt: null, code, reason });
  }
  #in(ms, deed) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(deed, ms);
  }
  #await(reason, ms = this.#options.answerTimeoutMs, isLast = false) {
    const dueAt = now() + ms;
    const unsent = this.#socket.bufferedAmount ?? 0;
    this.#in(ms, () => {
      const isLate = now() - dueAt > LAST_LOOK_MS;
      if ((this.#socket.bufferedAmount ?? 0) < unsent) this.#await(reason);
      else if (isLate || !isLast) this.#await(reason, LAST_LOOK_MS, true);
      else this.lost(0, reason);
    });
  }
  #watch() {
    this.#isAsking = false;
    const silent = now() - this.#heardAt;
    if (silent >= this.#options.silenceMs) this.#ask();
    else this.#in(this.#options.silenceMs - silent, () => this.#watch());
  }
  #ask() {
    this.#options.ask();
    this.expectAnswer();
  }
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isAsking = false;
    this.#options.dropped();
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(NORMAL);
  }
  #hurry = () => {
    if (globalThis.document?.visibilityState === 'hidden') return;
    if (this.state === 'waiting') this.connect();
    else if (this.state === 'open' && !this.#isAsking) this.#ask();
  };
  #listenToHints(on) {
    const name = on ? 'addEventListener' : 'removeEventListener';
    globalThis[name]?.('online', this.#hurry);
    globalThis[name]?.('pageshow', this.#hurry);
    globalThis.document?.[name]?.('visibilitychange', this.#hurry);
  }
  #set(change) {
    this.state = change.state;
    this.#options.changed(change);
  }
}

export class AgentError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'AgentError';
    this.code = code;
  }
}

class Reading {
  seq = 0;
  askedAt = performance.now();
  #controller;
  #isText = false;
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

const random = () => 0.1 + 0.9 * Math.random();
const PART_LENGTH = 256 * 1024;
const SLEPT_MS = 5000;

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

class Connection {
  #threadId;
  #options;
  #socket;
  #restTimer;
  #patienceTimer;
  #downSince;
  #why = 'no answer';
  #streams = new Map();
  #readings = new Map();
  #aborts = new Set();
  #waiting = [];
  #overtaken = [];
  constructor(threadId, options) {
    this.#threadId = threadId;
    this.#options = options;
    this.#socket = this.#newSocket();
  }
  #newSocket() {
    const { WebSocket, firstWaitMs, longestRetryMs, answerTimeoutMs, silenceMs } = this.#options;
    return new ReconnectingSocket({
      ...{ WebSocket, firstWaitMs, longestWaitMs: longestRetryMs, answerTimeoutMs, silenceMs, random },
      isFinal: (code) => code !== NORMAL && isFinal(code),
      address: () => this.#address(),
      receive: (data) => this.#receive(data),
      ask: () => this.#say({ type: 'ping' }),
      dropped: () => {},
      changed: (change) => this.#follow(change),
    });
  }
  get #isOpen() {
    return this.#socket.state === 'open';
  }
  request(data) {
    const streamId = randomId();
    const request = JSON.stringify({ type: 'stream', threadId: this.#threadId, streamId, data });
    const { maxMessageBytes } = this.#options;
    if (3 * request.length > maxMessageBytes && new TextEncoder().encode(request).length > maxMessageBytes) {
      throw new AgentError(
        'MESSAGE_TOO_LARGE',
        `The message is longer than ${maxMessageBytes} bytes (maxMessageBytes)`,
      );
    }
    for (const wait of this.#waiting.splice(0)) this.#overtaken.push(wait);
    const reading = this.#read(streamId, request);
    if (this.#isOpen) this.#ask(reading);
    return reading;
  }
  async resume() {
    if (!this.#isOpen) {
      const isOvertaken = await new Promise((resolve, reject) => {
        const wait = { resolve, reject };
        if ([...this.#readings.values()].some(({ request }) => request)) this.#overtaken.push(wait);
        else this.#waiting.push(wait);
        this.#connect();
      });
      if (isOvertaken) return undefined;
    }
    const streamId = this.#resumable();
    if (streamId === undefined) {
      if (this.#readings.size === 0) this.#remember(undefined);
      this.#rest();
      return undefined;
    }
    const reading = this.#read(streamId);
    this.#recover(reading);
    return reading;
  }
  abort(reading) {
    if (this.#readings.get(reading.streamId) !== reading) return;
    this.#drop(reading);
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
  #drop(reading, error) {
    if (this.#readings.get(reading.streamId) !== reading) return;
    this.#readings.delete(reading.streamId);
    if (this.#remembered() === reading.streamId) this.#remember(undefined);
    if (error) {
      reading.fail(error);
      for (const { reject } of this.#overtaken.splice(0)) reject(error);
    }
    if (this.#overtaken.length > 0) setTimeout(() => this.#release(), 50);
    this.#rest();
  }
  #release() {
    if (this.#readings.size > 0) return;
    for (const { resolve } of this.#overtaken.splice(0)) resolve(true);
  }
  #address() {
    const address = new URL(this.#options.url, globalThis.location?.href);
    address.protocol = address.protocol.replace('http', 'ws');
    address.searchParams.set('threadId', this.#threadId);
    return address.href;
  }
  #connect() {
    clearTimeout(this.#restTimer);
    if (!this.#isOpen) this.#bePatient();
    this.#socket.connect();
  }
  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof message !== 'object' || message === null) return;
    const { type, streamId } = message;
    if (type === 'connected' && Array.isArray(message.streams)) this.#opened(message.streams);
    const reading = this.#readings.get(streamId);
    if (reading) reading.request = undefined;
    if (type === 'started') this.#streams.set(streamId, true);
    else if (type === 'chunk') reading?.push(message.seq, message.chunk);
    else if (type === 'done' || (type === 'error' && streamId !== undefined)) {
      this.#streams.delete(streamId);
      if (this.#aborts.delete(streamId)) this.#rest();
      if (!reading) return;
      if (type === 'done') {
        this.#drop(reading);
        reading.end(message.aborted);
      } else this.#drop(reading, new AgentError(message.code, message.message));
    }
  }
  #opened(streams) {
    clearTimeout(this.#patienceTimer);
    this.#downSince = undefined;
    this.#streams = new Map(streams.map(({ streamId, state }) => [streamId, state === 'running']));
    this.#socket.opened();
    for (const reading of [...this.#readings.values()]) {
      if (reading.request && !this.#streams.has(reading.streamId)) this.#ask(reading);
      else this.#recover(reading);
    }
    for (const streamId of this.#aborts) this.#sendAbort(streamId);
    for (const { resolve } of this.#waiting.splice(0)) resolve(false);
    this.#rest();
  }
  #ask({ request, streamId }) {
    if (request.length <= PART_LENGTH) this.#socket.send(request);
    const count = Math.ceil(request.length / PART_LENGTH);
    for (let index = 0; count > 1 && index < count; index++) {
      const text = request.slice(index * PART_LENGTH, (index + 1) * PART_LENGTH);
      this.#say({ type: 'part', streamId, index, count, text });
    }
    this.#socket.expectAnswer();
  }
  #recover({ streamId, seq }) {
    this.#say({ type: 'recover', streamId, seq });
  }
  #sendAbort(streamId) {
    this.#say({ type: 'abort', streamId });
  }
  #say({ type, ...rest }) {
    this.#socket.send(JSON.stringify({ type, threadId: this.#threadId, ...rest }));
  }
  #rest() {
    if (this.#isNeeded()) return;
    clearTimeout(this.#restTimer);
    if (this.#isOpen) this.#restTimer = setTimeout(() => this.#isNeeded() || this.#hangUp(), this.#options.idleMs);
    else if (this.#socket.state === 'waiting') this.#hangUp();
  }
  #isNeeded() {
    return this.#readings.size + this.#aborts.size + this.#waiting.length > 0;
  }
  #follow({ state, code, reason }) {
    const because = code ? `${code} ${reason}`.trim() : reason;
    if (state === 'closed' && code !== NORMAL) {
      this.#fail(new AgentError('CLOSED', `The server closed the connection: ${because}`));
    } else if (state === 'waiting') {
      this.#why = because;
      if (this.#isNeeded()) this.#bePatient();
      else this.#hangUp();
    }
  }
  #bePatient() {
    if (this.#downSince !== undefined) return;
    this.#downSince = performance.now();
    this.#patienceTimer = setTimeout(() => this.#judge(), 0);
  }
  #judge(dueAt = performance.now()) {
    const now = performance.now();
    if (this.#isOpen || this.#downSince === undefined) return;
    if (now - dueAt > SLEPT_MS) this.#downSince = now;
    const { giveUpMs, unansweredMs } = this.#options;
    const error = () => new AgentError('UNREACHABLE', `The server could not be reached: ${this.#why}`);
    if (now - this.#downSince >= giveUpMs) return this.#fail(error());
    for (const reading of [...this.#readings.values()]) {
      if (reading.request && now - Math.max(this.#downSince, reading.askedAt) >= unansweredMs)
        this.#drop(reading, error());
    }
    if (now - this.#downSince >= unansweredMs) for (const { reject } of this.#waiting.splice(0)) reject(error());
    if (!this.#isNeeded()) return this.#hangUp();
    const wait = Math.min(1000, giveUpMs, unansweredMs);
    this.#patienceTimer = setTimeout(() => this.#judge(now + wait), wait);
  }
  #hangUp() {
    clearTimeout(this.#restTimer);
    clearTimeout(this.#patienceTimer);
    this.#downSince = undefined;
    if (['closed', 'idle'].includes(this.#socket.state)) return;
    this.#socket.end(NORMAL, '');
  }
  #fail(error) {
    this.#aborts.clear();
    const waiting = [...this.#waiting.splice(0), ...this.#overtaken.splice(0)];
    for (const reading of [...this.#readings.values()]) this.#drop(reading, error);
    for (const { reject } of waiting) reject(error);
    this.#hangUp();
  }
  #remembered() {
    return this.#options.storage?.getItem(`captify-agent:${this.#threadId}`) ?? undefined;
  }
  #remember(streamId) {
    const key = `captify-agent:${this.#threadId}`;
    try {
      if (streamId === undefined) this.#options.storage?.removeItem(key);
      else this.#options.storage?.setItem(key, streamId);
    } catch {}
  }
}

function sessionStorageOrNone() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

export class AgentChatTransport {
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

function readable(connection, reading, signal) {
  const abort = () => {
    connection.abort(reading);
    reading.fail(signal.reason);
  };
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  return reading.stream;
}
