'use strict';

const { AgentError } = require('./agent-error.js');
const { Reading } = require('./agent-reading.js');
const { isFinal, NORMAL, ReconnectingSocket } = require('./reconnecting-socket.js');

/** Waits before a try are between a tenth of and all of the longest they may be. */
const random = () => 0.1 + 0.9 * Math.random();
/** Characters of a part of a long request, such as one with a picture; at three bytes each less than the hub takes. */
const PART_LENGTH = 256 * 1024;
/** A timer that is so late tells of a machine that slept, not of a server that could not be reached. */
const SLEPT_MS = 5000;

/** Not randomUUID, which browsers have only in secure contexts. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One thread's socket, which comes back by itself as long as somebody reads a stream of it. */
class Connection {
  #threadId;
  #options;
  #socket;
  #restTimer;
  #patienceTimer;
  /** Since when there is no connection though one is needed. */
  #downSince;
  #why = 'no answer';
  /** Streams the server has, each with whether it runs: what it said at connect, and those that started since. */
  #streams = new Map();
  #readings = new Map();
  /** Streams to end; each is asked for again after a cut, until the server has said that it ended. */
  #aborts = new Set();
  /** Those who wait for the server's word, to know what there is. */
  #waiting = [];
  /** Those who wait for the end of what was asked while they waited for the server's word. */
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
      // Whoever still reads has not had the end.
      isFinal: (code) => code !== NORMAL && isFinal(code),
      address: () => this.#address(),
      receive: (data) => this.#receive(data),
      // A server that does not know it yet refuses it, which is a sign of life as well.
      ask: () => this.#say({ type: 'ping' }),
      dropped: () => {},
      changed: (change) => this.#follow(change),
    });
  }

  get #isOpen() {
    return this.#socket.state === 'open';
  }

  /** Asks for a new stream. */
  request(data) {
    const streamId = randomId();
    const request = JSON.stringify({ type: 'stream', threadId: this.#threadId, streamId, data });
    const { maxMessageBytes } = this.#options;
    // Where it cannot be too long it is not encoded only to be counted.
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

  /** Reads a stream from its start: the one this window was reading, also if it has ended, or else the newest that runs. */
  async resume() {
    if (!this.#isOpen) {
      const isOvertaken = await new Promise((resolve, reject) => {
        const wait = { resolve, reject };
        // Whoever asks while the server's word is out reads that answer: to say "nothing to resume" before its end
        // would have the SDK take it for ended.
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

  /** Takes a reading out; `error` says that it failed. */
  #drop(reading, error) {
    if (this.#readings.get(reading.streamId) !== reading) return;
    this.#readings.delete(reading.streamId);
    if (this.#remembered() === reading.streamId) this.#remember(undefined);
    if (error) {
      reading.fail(error);
      for (const { reject } of this.#overtaken.splice(0)) reject(error);
    }
    // After the SDK has taken the end in, and perhaps asked once more.
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
      return; // a text that a route handler sent to everybody
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
      // What the server does not name it may still find, in another process; or it says that nobody has it.
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

  /** A socket that nobody reads from is closed after a while. */
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

  /**
   * A person who has asked waits less long for a server that cannot be reached than one whose answer was on its way, who
   * may sit in a tunnel.
   */
  #bePatient() {
    if (this.#downSince !== undefined) return;
    this.#downSince = performance.now();
    this.#patienceTimer = setTimeout(() => this.#judge(), 0);
  }

  #judge(dueAt = performance.now()) {
    const now = performance.now();
    if (this.#isOpen || this.#downSince === undefined) return;
    // It was asleep with everything else here: the server gets the whole time again.
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
    } catch {
      // A full storage costs a stream that ends during a reload, no more.
    }
  }
}

module.exports = { Connection };
