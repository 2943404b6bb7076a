'use strict';

// What the client of the fabric endpoint and the chat transport share. It must stay without an import.

/** A connection that lived this long has the waits start from the shortest again. */
const STABLE_MS = 10_000;
/** How long what may already lie in the socket gets to be read, after the time for an answer is over. */
const LAST_LOOK_MS = 250;

const NORMAL = 1000;
const SERVICE_RESTART = 1012;
const TRY_AGAIN_LATER = 1013;
/** What a browser does not tell apart. */
const UNREACHED = 'the server is not there, or the network, a proxy or a Content-Security-Policy is in the way';
/** After 1013 the wait is at least that of this try, and at least half of it. */
const LATER_TRIES = 2;
/** Done, or at fault: the same client would only be closed again. So it would after 44xx, where it may not come in. */
const FINAL_CODES = [NORMAL, 1002, 1003, 1007, 1008, 1009];

/**
 * Another connection has shown this one's token. Nobody else has it: it was one that this client gave up before it was
 * through, and that came through after all.
 */
const REPLACED = 4409;

const isFinal = (code) => FINAL_CODES.includes(code) || (code >= 4400 && code < 4500 && code !== REPLACED);
const now = () => performance.now();

/**
 * A WebSocket that comes back by itself, and notices when the other end is gone though nothing says so.
 *
 * Its owner says when a connection is of use by `opened`, and gives by options `address()`, `ask()`, which sends what is
 * always answered, `receive(data)`, `changed(change)` for each new state, and `dropped()` before a state without a socket.
 */
class ReconnectingSocket {
  state = 'idle';
  #options;
  #socket = null;
  /** There is one at a time: until the other end has spoken, until the next try, or until the next look at it. */
  #timer;
  #tries = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** Whether the other end was asked for a sign of life, and has given none yet. */
  #isAsking = false;

  constructor(options) {
    this.#options = options;
  }

  connect() {
    if (this.#socket !== null) return;
    try {
      this.#socket = new this.#options.WebSocket(this.#options.address());
    } catch (error) {
      // What a page may not do at all throws at the first try; later ones may fail for reasons that pass.
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
    // A close follows every error; the package `ws` throws those that nobody listens to. Browsers tell no more.
    socket.onerror = ({ message }) => {
      if (this.state === 'connecting') why = `No connection came about: ${message || UNREACHED}`;
    };
    this.#await('The hub does not answer');
    this.#listenToHints(true);
    this.#set({ state: 'connecting', retryAt: null });
  }

  /** The connection is of use. */
  opened() {
    this.#openedAt = now();
    this.#watch();
    this.#set({ state: 'open', code: 0, reason: '' });
  }

  send(text) {
    this.#socket.send(text);
  }

  /** What was just sent is always answered, so silence tells soon that nobody is there. */
  expectAnswer() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#await('The hub went silent');
  }

  /** Gives a connection up, to make another one unless the code says that this would change nothing. */
  lost(code, reason) {
    const wasStable = this.state === 'open' && now() - this.#openedAt > STABLE_MS;
    if (this.#options.isFinal(code)) return this.end(code, reason);
    this.#drop();
    if (wasStable) this.#tries = 0;
    const isLater = code === TRY_AGAIN_LATER;
    if (isLater) this.#tries = Math.max(this.#tries, LATER_TRIES);
    const { firstWaitMs, longestWaitMs, random } = this.#options;
    const longest = Math.min(longestWaitMs, firstWaitMs * 2 ** this.#tries);
    // All of it is random, so that a thousand clients do not come back in one instant.
    // How long until the next process is there, and another time for each client.
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

  /**
   * Gives the connection up unless something comes in time. A process or page that was suspended meanwhile finds its
   * timer due before it has read what came, and what is still being uploaded is no silence: it reads first, then judges.
   */
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

  /**
   * Looks again when the other end has been silent for long. A browser shows no pings, and one that only listens never
   * learns that the other end is gone, so the silent one is asked for an answer.
   */
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

  /** Lets go of the socket without waiting for it: on a dead network its close event may take a minute. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isAsking = false;
    this.#options.dropped();
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(NORMAL);
  }

  /** A network that is back, or a page that is looked at again, is no time to sit out a wait. */
  #hurry = () => {
    if (globalThis.document?.visibilityState === 'hidden') return;
    if (this.state === 'waiting') this.connect();
    else if (this.state === 'open' && !this.#isAsking) this.#ask();
  };

  #listenToHints(on) {
    const name = on ? 'addEventListener' : 'removeEventListener';
    // Node has neither.
    globalThis[name]?.('online', this.#hurry);
    globalThis[name]?.('pageshow', this.#hurry);
    globalThis.document?.[name]?.('visibilitychange', this.#hurry);
  }

  #set(change) {
    this.state = change.state;
    this.#options.changed(change);
  }
}

module.exports = { isFinal, NORMAL, now, ReconnectingSocket };
