'use strict';

/** Characters of chunks that are told at once. */
const AT_ONCE = 64 * 1024;

/** Chunks that may wait to be told before the producer waits, too. */
const MOST_WAITING = 256;

/** How long after Redis was away others are told that there is something new. */
const AGAIN_MS = 1000;

/**
 * Tells other processes the chunks of a stream that runs here, as long as one of them hears it. What comes while it is being
 * told is told together.
 */
class Relay {
  #stream;
  #tell;
  /** Whether somebody elsewhere hears it, as far as is known. */
  #isOn = false;
  #isTelling = false;
  #telling;
  /** Counts who has asked: an answer that nobody hears is of no use once somebody has. */
  #asked = 0;
  /** Processes whose clients have to be waited for, and those that were waited for in vain. */
  #holding = new Set();
  #slow = new Set();
  #waiting;
  #release;

  /** The last chunk that was told. */
  seq = 0;

  /**
   * @param stream the AgentStream
   * @param {(message: object) => Promise<number | undefined>} tell tells it to the other processes, and resolves with how many
   *   of them got it
   */
  constructor(stream, tell) {
    this.#stream = stream;
    this.#tell = tell;
  }

  /** The first chunk that was not told; Infinity where nobody hears. */
  get neededSeq() {
    return this.#isOn ? this.seq + 1 : Infinity;
  }

  /** Pending while those elsewhere have to be waited for. */
  get waiting() {
    if (!this.#isHeldUp) return undefined;
    this.#waiting ??= new Promise((release) => (this.#release = release));
    return this.#waiting;
  }

  /** Tells the others that the stream has begun, and all of it to those that hear; once Redis is there. */
  announce() {
    this.#isOn = true;
    this.#isTelling = true;
    this.#telling = this.#announce();
  }

  async #announce() {
    const { streamId, history } = this.#stream;
    const reached = await this.#tell({ kind: 'started', streamId, seq: history.seq });
    this.#isTelling = false;
    this.#isOn = reached !== undefined && this.#heard(reached, 0);
    this.advance();
    if (reached === undefined) this.#announceLater();
  }

  /** Those who hear it then ask what there is. */
  #announceLater() {
    const again = async () => {
      if (this.#stream.end === undefined && (await this.#tell({ kind: 'news' })) === undefined) this.#announceLater();
    };
    setTimeout(again, AGAIN_MS).unref?.();
  }

  /** Somebody elsewhere wants what is to come, and has what is there. */
  begin() {
    this.#asked += 1;
    if (this.#isOn) return;
    this.#isOn = true;
    this.seq = this.#stream.history.seq;
  }

  /** A process whose clients do not keep up; and one whose do again. */
  hold(process) {
    if (!this.#slow.has(process)) this.#holding.add(process);
  }

  go(process) {
    this.#holding.delete(process);
    this.#caughtUp();
  }

  /** They were waited for long enough. */
  giveUp() {
    // Those who miss what is not told find out, and ask for it.
    if (this.#isFull) this.seq = this.#stream.history.seq;
    for (const process of this.#holding) this.#slow.add(process);
    this.#holding.clear();
    this.#caughtUp();
  }

  /** There is more to tell. */
  advance() {
    if (!this.#isOn || this.#isTelling) return;
    this.#isTelling = true;
    this.#telling = this.#advance();
  }

  /** Resolves once all was told that there is to tell. */
  async told() {
    while (this.#isTelling) await this.#telling;
  }

  async #advance() {
    const { streamId, history } = this.#stream;
    while (this.#isOn && this.seq < history.seq) {
      const asked = this.#asked;
      const message = { kind: 'chunks', streamId, ...portion(history, this.seq + 1) };
      this.seq = message.seq + message.frames.length - 1;
      this.#isOn = this.#heard(await this.#tell(message), asked);
      this.#caughtUp();
    }
    this.#isTelling = false;
    const { ending } = this.#stream;
    if (ending !== undefined && this.#isOn) {
      this.#isOn = false;
      this.#tell(ending);
    }
    this.#caughtUp();
  }

  /** Whether anybody hears what was told to `reached` others, or may. */
  #heard(reached, asked) {
    return reached !== 0 || asked !== this.#asked;
  }

  get #isFull() {
    return this.#isTelling && this.#stream.history.seq - this.seq > MOST_WAITING;
  }

  get #isHeldUp() {
    return this.#isFull || this.#holding.size > 0;
  }

  #caughtUp() {
    if (this.#isHeldUp) return;
    this.#release?.();
    this.#waiting = undefined;
    this.#release = undefined;
  }
}

/** Some of the chunks of a history from `seq` on, or from the first that is there: `{ seq, frames }`. */
function portion(history, seq) {
  const from = Math.max(seq, history.first);
  const frames = [];
  for (let characters = 0; characters < AT_ONCE; characters += frames.at(-1).length) {
    const frame = history.frame(from + frames.length);
    if (frame === undefined) break;
    frames.push(frame);
  }
  return { seq: from, frames };
}

module.exports = { Relay, portion };
