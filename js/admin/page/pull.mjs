// Asks the server, one request at a time, at a pace that falls while nobody looks and stops while the page is hidden.

const LOOKED_AT_MS = 2_000;
/** After so long without a sign of somebody, the pace is this. */
const PACES = [
  [300_000, 15_000],
  [60_000, 5_000],
];
const LONGEST_WAIT_MS = 30_000;
const TIMEOUT_MS = 15_000;
/** A server that answers slowly is asked as much less often. */
const SHARE_OF_TIME = 4;
const SIGNS = ['pointermove', 'pointerdown', 'keydown', 'wheel', 'touchstart', 'focus'];

export class Pull {
  #ask;
  #hear;
  #timer;
  #request;
  #isWanted = false;
  #seenAt = performance.now();
  #tookMs = 0;
  #failures = 0;
  /** `'live'`, `'paused'`, `'hidden'`, `'away'` (the server does not answer), or `'out'` (it says no). */
  state = 'live';
  /** When it is asked next, by `performance.now()`. */
  nextAt = 0;

  /**
   * @param {(signal: AbortSignal) => Promise<unknown>} ask throws an `Out` where asking again is of no use
   * @param {(answer: unknown | undefined, fault?: Error) => void} hear of each answer, and of each change without one
   */
  constructor(ask, hear) {
    this.#ask = ask;
    this.#hear = hear;
    const isSeen = () => this.#seen();
    for (const sign of SIGNS) addEventListener(sign, isSeen, { passive: true, capture: true });
    document.addEventListener('visibilitychange', () => this.#looked());
  }

  /** How long until it is asked again where all is well. */
  get paceMs() {
    const idle = performance.now() - this.#seenAt;
    const pace = PACES.find(([after]) => idle >= after)?.[1] ?? LOOKED_AT_MS;
    return Math.max(pace, SHARE_OF_TIME * this.#tookMs);
  }

  /** Asks at once; a request that is under way, and may have asked for something else, is given up. */
  now() {
    if (this.state === 'out' || this.state === 'hidden') return;
    clearTimeout(this.#timer);
    this.#isWanted = true;
    if (this.#request) this.#request.abort();
    else void this.#run();
  }

  pause(isPaused) {
    if (this.state === 'out') return;
    this.state = isPaused ? 'paused' : 'live';
    clearTimeout(this.#timer);
    this.#hear(undefined);
    if (!isPaused) this.now();
  }

  #seen() {
    const wasSlow = this.paceMs > LOOKED_AT_MS;
    this.#seenAt = performance.now();
    if (wasSlow && this.state === 'live' && !this.#request) this.now();
  }

  #looked() {
    if (this.state === 'out' || this.state === 'paused') return;
    if (document.hidden) {
      this.state = 'hidden';
      clearTimeout(this.#timer);
      this.#request?.abort();
      return;
    }
    this.#seenAt = performance.now();
    this.state = this.#failures > 0 ? 'away' : 'live';
    this.now();
  }

  async #run() {
    this.#isWanted = false;
    const request = new AbortController();
    this.#request = request;
    const timeout = setTimeout(() => request.abort(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
    const began = performance.now();
    try {
      const answer = await this.#ask(request.signal);
      this.#tookMs = performance.now() - began;
      this.#failures = 0;
      if (this.state === 'away') this.state = 'live';
      if (!this.#isWanted) this.#hear(answer);
    } catch (error) {
      this.#failed(error, request.signal);
    } finally {
      clearTimeout(timeout);
      this.#request = undefined;
      this.#plan();
    }
  }

  #failed(error, signal) {
    if (error instanceof Out) {
      this.state = 'out';
      this.#hear(undefined, error);
      return;
    }
    // Given up for something newer, or because nobody looks.
    if (this.#isWanted || this.state === 'hidden') return;
    this.#failures += 1;
    if (this.state === 'live') this.state = 'away';
    this.#plan();
    this.#hear(undefined, signal.aborted ? signal.reason : error);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#isWanted && this.state !== 'hidden') return void this.#run();
    if (this.state !== 'live' && this.state !== 'away') return;
    const again = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** this.#failures);
    const waitMs = this.#failures > 0 ? again * (0.75 + Math.random() / 2) : this.paceMs;
    this.nextAt = performance.now() + waitMs;
    this.#timer = setTimeout(() => void this.#run(), waitMs);
  }
}

/** The server says that whoever is here may not see the page, or not any more. */
export class Out extends Error {}
