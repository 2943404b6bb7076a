'use strict';

const { runningHub } = require('../shared/global-hub.js');
const { HEARD } = require('./heard.js');
const { Unanswered } = require('./unanswered.js');
const { Mirror } = require('./mirror.js');
const { Relay } = require('./relay.js');

/** Longest wait for the other processes to say what they have of a thread. */
const ANSWER_MS = 1000;

/** How often it is looked whether streams that run elsewhere still do. */
const LOOK_MS = 1000;

/** How long a process that has claimed a stream may take to start it, and between two tries to reach Redis. */
const PAUSE_MS = 100;

/** How soon those who have not answered are asked again. */
const AGAIN_MS = 1000;

/** How often others are asked for a stream that should be there. */
const MOST_TRIES = 5;

/** For so long a process that hears and does not answer may have what nobody else has; then it is as if it were gone. */
const LONGEST_SILENCE_MS = 10_000;

/** Claims of processes that are there and do not answer. Not a thread's: that is forgotten when who has asked is sent away. */
const unanswered = new Unanswered();

/** Within this time all threads of a process that was cut off ask what they have missed, and not at once. */
const SPREAD_MS = 500;

/** How long a process that ends waits for what its streams have said to be told. */
const LAST_WORDS_MS = 300;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A thread in the other processes, where several share a Redis: each says which of its streams it runs and whether it has
 * clients, and what runs in one is followed from all. They speak over a room of the thread that no client is in, at most once: so
 * whatever may have been missed is asked for.
 */
class Elsewhere {
  #thread;
  #channels;
  #path;
  #options;
  #room;
  #listening;
  #looking;
  /** By number: those who wait for what the others have. */
  #asks = new Map();
  #lastAsk = 0;
  /** Streams that were forgotten here and may be named again by their process, each with until when. */
  #dropped = new Map();
  #missing;
  #isLookingAgain = false;
  /** Since when not all have answered; undefined where all have, or nobody has asked for long. */
  #incompleteSince;
  #lookedAt = -Infinity;
  /** The last time that something was looked for in vain. */
  #searched = { beganAt: -Infinity, isSure: false };

  /** @param options of createAgentHandler */
  constructor(thread, channels, options) {
    this.#thread = thread;
    this.#channels = channels;
    this.#path = options.path;
    this.#options = options;
    this.#room = `\0thread:${thread.threadId}`;
    this.#listening = channels.listen(this.#path, this.#room, {
      hear: (from, text) => this.#hear(from, JSON.parse(text)),
      missed: () => this.#missed(),
      leave: () => this.#leave(),
    });
    // Those of a hub before this one in the same process.
    for (const stream of this.#own()) if (stream.end === undefined) this.announce(stream);
  }

  /** Of a thread; undefined where there are no other processes. */
  static of(thread, options) {
    const channels = runningHub()?.channels;
    return channels && new Elsewhere(thread, channels, options);
  }

  /** The thread is forgotten here. */
  close() {
    clearInterval(this.#looking);
    clearTimeout(this.#missing);
    this.#channels.unlisten(this.#path, this.#room);
  }

  /**
   * Asks the other processes what they have of the thread, and waits until the streams that run there are known.
   *
   * @returns {Promise<{ watchers: Map<string, number>, isComplete: boolean, isSure: boolean } | undefined>} by process, how many
   *   clients it has, whether all have answered, and whether those have who will; undefined where nobody knows
   */
  async look() {
    await this.#listening;
    const number = (this.#lastAsk += 1);
    const ask = { askedAt: performance.now(), answers: new Map(), expected: Infinity, done: undefined };
    const all = new Promise((resolve) => (ask.done = resolve));
    this.#asks.set(number, ask);
    const reached = await this.#tell({ kind: 'ask', number });
    if (reached !== undefined) {
      ask.expected = reached;
      if (ask.answers.size < reached) await Promise.race([all, sleep(ANSWER_MS)]);
    }
    this.#asks.delete(number);
    if (reached === undefined) return undefined;
    for (const mirror of this.#mirrors()) {
      // It has ended with its process, and nobody here has followed it.
      const isGone = !ask.answers.has(mirror.owner) && !this.#channels.isThere(mirror.owner);
      if (isGone && !mirror.isWanted) this.#drop(mirror);
    }
    const isComplete = ask.answers.size >= reached;
    // Who was silent once, long ago, was not all the time between.
    if (ask.askedAt - this.#lookedAt > LONGEST_SILENCE_MS / 2) this.#incompleteSince = undefined;
    this.#lookedAt = performance.now();
    if (isComplete) this.#incompleteSince = undefined;
    else this.#incompleteSince ??= ask.askedAt;
    const isSure = isComplete || performance.now() - this.#incompleteSince > LONGEST_SILENCE_MS;
    if (isSure) this.#thread.knowsSince(ask.askedAt);
    return { watchers: ask.answers, isComplete, isSure };
  }

  /** The same, and waits a moment for a Redis that is away: it may be back at once. */
  async lookPatiently() {
    const deadline = Date.now() + ANSWER_MS;
    for (;;) {
      const seen = await this.look();
      if (seen || Date.now() > deadline) return seen;
      await sleep(PAUSE_MS);
    }
  }

  /**
   * Looks for a stream that is not known here; more than once, as its process may just connect to Redis again.
   *
   * @param {number} askedAt when its client has asked: of many questions at once the first is looked for
   * @returns whether it is known what there is; then the thread has it, or there is none
   */
  async find(streamId, askedAt) {
    if (this.#searched.beganAt >= askedAt) return this.#searched.isSure;
    const beganAt = performance.now();
    let seen;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      if (tries > 0) await sleep(PAUSE_MS);
      seen = await this.lookPatiently();
      if (this.#thread.streams.has(streamId)) return true;
      if (!seen) break;
    }
    const isSure = seen?.isSure ?? false;
    this.#searched = { beganAt, isSure };
    return isSure;
  }

  /**
   * Claims a stream for this process, so that one that is asked for in two is answered once.
   *
   * @returns {Promise<{ running?: Mirror, isKnown: boolean }>} the stream where another process runs it; without, where `isKnown`,
   *   this one may, else another that is busy may be about to
   */
  async claim(streamId) {
    const { maxStreamMs, keepMs } = this.#options;
    const claimed = `${this.#path} ${this.#room} ${streamId}`;
    let gone;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const holder = await this.#channels.claim(this.#path, this.#room, streamId, maxStreamMs + keepMs, gone);
      if (holder === undefined || holder === this.#channels.process) {
        unanswered.forget(claimed);
        return { isKnown: true };
      }
      const seen = await this.look();
      const running = this.#thread.streams.get(streamId);
      if (running) return { running, isKnown: true };
      // Its process has forgotten it, or is gone; one that does not answer may only be busy, but not for ever.
      const isFree = seen?.watchers.has(holder) ? tries > 0 : !this.#channels.isThere(holder);
      if (isFree || unanswered.lasts(claimed) > LONGEST_SILENCE_MS) gone = holder;
      else await sleep(PAUSE_MS);
    }
    unanswered.note(claimed);
    return { isKnown: false };
  }

  /** A stream is forgotten that this process has run. */
  release(streamId) {
    return this.#channels.release(this.#path, this.#room, streamId);
  }

  /** A stream begins here. */
  announce(stream) {
    stream.relay = new Relay(stream, (message) => this.#tell(message));
    stream.relay.announce();
  }

  /** The last client of this process has left: nobody here follows what runs elsewhere. */
  left() {
    for (const mirror of this.#mirrors()) this.#drop(mirror);
    this.#dropped.clear();
    this.#tell({ kind: 'left' });
  }

  /** This process was cut off: it finds out what there is, and what has come of what its clients follow. */
  #missed() {
    this.#missing ??= setTimeout(() => {
      this.#missing = undefined;
      // Who has come elsewhere meanwhile was told that there are none.
      if (this.#own().length > 0) this.#tell({ kind: 'news' });
      if (!this.#thread.isWatched) return;
      for (const mirror of this.#mirrors()) mirror.catchUp();
      this.look();
    }, Math.random() * SPREAD_MS);
    this.#missing.unref?.();
  }

  /** Not all have answered somebody who has come: they are asked again, once for all such, until they have or those have gone. */
  async lookAgain() {
    if (this.#isLookingAgain) return;
    this.#isLookingAgain = true;
    while (this.#thread.elsewhere === this && this.#thread.hasUnsure) {
      await sleep(AGAIN_MS);
      await this.look();
    }
    this.#isLookingAgain = false;
  }

  /** The hub of this process ends, and for those elsewhere its streams end with it. */
  async #leave() {
    const own = this.#own();
    await Promise.race([Promise.all(own.map(({ relay }) => relay?.told())), sleep(LAST_WORDS_MS)]);
    await Promise.all([this.#tell({ kind: 'leave' }), ...own.map(({ streamId }) => this.release(streamId))]);
    for (const mirror of this.#mirrors()) this.#lose(mirror);
    this.close();
    this.#thread.elsewhere = undefined;
  }

  #own() {
    return [...this.#thread.streams.values()].filter(({ owner }) => owner === undefined);
  }

  #mirrors() {
    return [...this.#thread.streams.values()].filter(({ owner }) => owner !== undefined);
  }

  /** Resolves with how many other processes got it; undefined where nobody knows. */
  async #tell(message) {
    const reached = await this.#channels.tell(this.#path, this.#room, JSON.stringify(message));
    // This one is among them.
    return reached === undefined ? undefined : Math.max(0, reached - 1);
  }

  #hear(from, message) {
    const { kind, to } = message;
    if (to !== undefined && to !== this.#channels.process) return;
    // A process of a later version may say more.
    if (Object.hasOwn(HEARD, kind)) HEARD[kind](this.#parts, from, message);
  }

  /** What the answers to other processes need of this. */
  get #parts() {
    return {
      thread: this.#thread,
      tell: (message) => this.#tell(message),
      own: (streamId) => this.#ownOf(streamId),
      mirror: (streamId, from) => this.#mirror(streamId, from),
      add: (...given) => this.#add(...given),
      drop: (mirror) => this.#drop(mirror),
      lose: (mirror) => this.#lose(mirror),
      begin: (mirror) => this.#begin(mirror),
      catchUp: (...given) => this.#catchUp(...given),
      look: () => this.look(),
      wasDropped: (streamId) => this.#dropped.has(streamId),
      answer: (number, from, watchers) => this.#answer(number, from, watchers),
    };
  }

  #ownOf(streamId) {
    const stream = this.#thread.streams.get(streamId);
    return stream?.owner === undefined ? stream : undefined;
  }

  #mirror(streamId, from) {
    const stream = this.#thread.streams.get(streamId);
    return stream?.owner === from ? stream : undefined;
  }

  #answer(number, from, watchers) {
    const ask = this.#asks.get(number);
    if (!ask) return;
    ask.answers.set(from, watchers);
    if (ask.answers.size >= ask.expected) ask.done();
  }

  /** A stream runs elsewhere, or has; nothing where one of this name is known that has not ended. */
  #add(streamId, owner, known) {
    const { threadId, streams } = this.#thread;
    // Nobody here wants to know.
    if (!this.#thread.isWatched) return undefined;
    const before = streams.get(streamId);
    if (before && (before.owner === undefined || before.end === undefined)) return undefined;
    if (before) this.#drop(before);
    const mirror = new Mirror({ threadId, streamId, owner }, known, this.#options, {
      tell: (message) => this.#tell({ to: owner, ...message }),
      onEnd: (ended) => this.#keep(ended),
    });
    streams.set(streamId, mirror);
    if (known.state !== 'running') this.#keep(mirror);
    this.#looking ??= setInterval(() => this.#lookAtAll(), LOOK_MS);
    this.#looking.unref?.();
    return mirror;
  }

  /** A stream begins elsewhere. Who has come while not all answered may have read of it where it runs. */
  #begin(mirror) {
    for (const [socket, { isSure }] of this.#thread.connections) {
      if (isSure) mirror.greet(socket);
      else socket.send(this.#thread.connected);
    }
  }

  /**
   * Tells clients of streams of which they should have been told before. Who was here when one began has nothing of it. Who came
   * later may have read it elsewhere, and asks for what it does not have.
   *
   * @param {{ mirror: Mirror, ageMs: number }[]} unknown how long ago each had begun, when another process answered
   * @param {number} number of the question that it has answered
   */
  #catchUp(unknown, number) {
    if (unknown.length === 0) return;
    const askedAt = this.#asks.get(number)?.askedAt;
    for (const [socket, { joinedAt }] of this.#thread.connections) {
      let isLate = false;
      for (const { mirror, ageMs } of unknown) {
        // It was not asked later than this, so the stream has not begun earlier.
        if (joinedAt < askedAt - ageMs) mirror.greet(socket);
        else isLate ||= mirror.state === 'running';
      }
      if (isLate) socket.send(this.#thread.connected);
    }
  }

  /** It has ended, and is forgotten after a while, or before where there is too much. */
  #keep(mirror) {
    if (this.#thread.streams.get(mirror.streamId) !== mirror) return;
    this.#thread.keep(mirror, this.#options, () => this.#drop(mirror));
  }

  #drop(mirror) {
    const { streamId } = mirror;
    this.#thread.unkeep(mirror);
    if (this.#thread.streams.get(streamId) === mirror) {
      this.#thread.streams.delete(streamId);
      this.#dropped.set(streamId, Date.now() + this.#options.keepMs);
    }
    mirror.close();
  }

  /** Its process is gone, or does not know it. What is here of it stays for those who come back, if it is of any use. */
  #lose(mirror) {
    mirror.lose();
    if (!mirror.isWhole) this.#drop(mirror);
  }

  #lookAtAll() {
    const now = Date.now();
    for (const [streamId, until] of this.#dropped) if (until < now) this.#dropped.delete(streamId);
    const mirrors = this.#mirrors();
    if (mirrors.length === 0 && this.#dropped.size === 0) {
      clearInterval(this.#looking);
      this.#looking = undefined;
    }
    for (const mirror of mirrors) {
      if (mirror.look(this.#channels.isThere(mirror.owner))) this.#lose(mirror);
    }
  }
}

module.exports = { Elsewhere };
