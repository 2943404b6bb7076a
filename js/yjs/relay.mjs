import { Stock, covers } from './stock.mjs';

/** How long a place in the order of answerers waits for the places before it. */
const TURN_MS = 200;
/** First wait for an answer; it doubles with each question, up to the longest. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_LONGEST_MS = 16_000;
/** The hub shows at once who is there, and whoever it did not show has answered by then. */
const ALONE_AFTER_MS = 500;
/** Each client says this often what it has. */
const TELL_AFTER_MS = 15_000;
/**
 * What comes sooner after a connection may be what the hub shows of those who are there, which they said at any time: of
 * that only questions count, which are open until their sender says something else.
 */
const SHOWN_MS = 1_000;
/** So long each announcement says who was answered, since one of them may take the place of the one before it. */
const ANSWER_SHOWN_MS = 2_000;

/**
 * Keeps a document whole in a relay, where the hub has nothing of it and the clients bring each other up to date.
 *
 * What is said about it goes along with the awareness, which those may send, too, who may only read:
 *
 * 1. Who connects *asks*, and says what it has. One of those present *answers*: an `update` with what is missing, then
 *    an announcement of what the answerer has. Those who are whole come first, among them the lowest client id, at once;
 *    the others wait their turn, and give it up when they see the answer.
 * 2. Who was answered is whole once it has all that the answerer had, and sends what the answerer lacks.
 * 3. Every 15 seconds each client says what it has without asking, and who has more sends it, in the same turns. So
 *    whatever was lost on the way, to a connection that broke or a page that crashed, is made good.
 *
 * Every message may come late, twice or never: updates merge in any order and any number of times, and who gets no
 * answer asks again.
 */
export class RelaySync {
  #host;
  #stock;
  #isWhole = false;
  /** What this client had when it asked, until it is whole. */
  #question = null;
  /** What the one had who answered. */
  #awaited = null;
  #askTimer;
  #waitMs = 0;
  #toldAt = 0;
  #openedAt = 0;
  /** Whether this client has been compared with any other since it last had to ask. */
  #isCompared = false;
  /** Whether something was edited here and not sent, which nobody else may have. */
  #isUnheard = false;
  /** By client: the newest `id` of it that this client would answer, and the timer of this client's turn. */
  #turns = new Map();
  /** `{ to, id, until }` of those that were answered of late. */
  #answered = [];
  /** What this client had when it last answered, for as long as it says so. */
  #shown = null;
  /** `{ has, digest, after }` of the last answer that brought something: how much was heard before it, and what was known. */
  #brought = null;
  #heard = 0;
  /** Clients that are whole. */
  #whole = new Set();

  constructor(host, stock = new Stock(host.doc)) {
    this.#host = host;
    this.#stock = stock;
  }

  open({ isRecovered }) {
    this.#openedAt = Date.now();
    // Who was whole and gets all that it missed has nothing to ask. Who only heard nobody may have been unheard, too.
    if (isRecovered && this.#isWhole && this.#isCompared) return this.#settle();
    this.#isCompared = false;
    this.#ask(ASK_AGAIN_MS);
  }

  down() {
    clearTimeout(this.#askTimer);
    this.#question = this.#awaited = null;
    for (const { timer } of this.#turns.values()) clearTimeout(timer);
    this.#turns.clear();
    this.#whole.clear();
    this.#answered = [];
    this.#brought = null;
  }

  /** Something of this client's was not sent, so that only comparing finds it. */
  lost() {
    this.#isWhole = false;
    this.#isUnheard = true;
  }

  /** What goes along in an announcement. */
  words() {
    const now = Date.now();
    this.#answered = this.#answered.filter(({ until }) => until > now);
    if (this.#answered.length === 0) this.#shown = null;
    const isTime = now - this.#toldAt >= TELL_AFTER_MS;
    return {
      whole: this.#isWhole,
      has: this.#question ?? this.#shown ?? (isTime ? this.#takeStock() : undefined),
      asks: this.#question === null ? undefined : true,
      answers: this.#answered.length > 0 ? this.#answered.map(({ to, id }) => ({ to, id })) : undefined,
    };
  }

  /** Takes what another client says along with its awareness. */
  hear({ client, whole, has, asks, answers = [] }) {
    this.#whole[whole ? 'add' : 'delete'](client);
    let isForUs = false;
    for (const { to, id } of answers) {
      if (to !== this.#host.awareness.clientID) this.#giveUp(to, id);
      else isForUs ||= id === this.#question?.id;
    }
    // Once a question: what is said of an answer is repeated.
    const isAnswer = isForUs && this.#awaited === null;
    if (isForUs && has) {
      this.#isCompared = true;
      this.#isUnheard &&= !this.#host.mayWrite;
      this.#awaited = has;
      this.#follow();
    }
    const isNews = isForUs || asks || Date.now() - this.#openedAt > SHOWN_MS;
    if (has && (asks || (isNews && this.#stock.hasMoreThan(has)))) this.#takeTurn(client, has, isAnswer);
    if (this.#isCompared || this.#question !== null) return;
    // Whoever came while this client was alone may bring something.
    if (has && isNews && this.#stock.covers(has)) this.#isCompared = true;
    else this.#ask(ASK_AGAIN_MS);
  }

  /** Clients are gone. */
  gone(clients) {
    for (const client of clients) {
      this.#giveUp(client);
      this.#whole.delete(client);
    }
  }

  /** The document has changed by what came from others. */
  changed() {
    if (this.#awaited !== null) this.#follow();
  }

  /** What was awaited is there, or is still on its way, and then it is no time to ask again. */
  #follow() {
    if (this.#stock.covers(this.#awaited)) this.#settle();
    else this.#await();
  }

  // ---- asking ---------------------------------------------------------------------------------------------------

  #ask(waitMs) {
    this.#isWhole = false;
    this.#awaited = null;
    this.#question = this.#takeStock();
    this.#waitMs = waitMs;
    this.#host.announce();
    this.#await();
  }

  #await() {
    clearTimeout(this.#askTimer);
    const isAlone = this.#host.others.length === 0;
    this.#askTimer = setTimeout(
      () => {
        if (this.#host.others.length === 0) this.#settleAlone();
        else this.#ask(Math.min(this.#waitMs * 2, ASK_AGAIN_LONGEST_MS));
      },
      isAlone ? Math.min(this.#waitMs, ALONE_AFTER_MS) : this.#waitMs,
    );
  }

  /**
   * There is nothing to wait for. What is sent later is kept by the hub for those who are away, and may stand on what was not
   * sent, so that is sent first; where the connection has only gone silent, it is not acknowledged.
   */
  #settleAlone() {
    if (this.#isUnheard && this.#host.mayWrite) {
      this.#isUnheard = false;
      this.#host.push(this.#stock.everything());
    }
    this.#settle();
  }

  #settle() {
    clearTimeout(this.#askTimer);
    this.#question = this.#awaited = null;
    this.#isWhole = true;
    // Who comes later is shown the newest announcement, which must not be a question that was answered.
    this.#host.announce();
    this.#host.settled();
  }

  // ---- answering ------------------------------------------------------------------------------------------------

  #takeTurn(to, has, isOurs) {
    const known = this.#turns.get(to);
    // Who answered while asking itself said the same before, and another may have answered that with less.
    if ((known?.id === has.id && !isOurs) || !this.#host.mayWrite) return;
    clearTimeout(known?.timer);
    const heard = (this.#heard += 1);
    // Where all come at once, as after a restart, nobody knows yet who comes first.
    const before = isOurs ? 0 : this.#placeFor(to) + (this.#isWhole ? 0 : 1);
    // Not by a timer where there is nothing to wait for: a browser slows timers in windows that nobody looks at.
    const timer = before === 0 ? undefined : setTimeout(() => this.#answer(to, has, heard), before * TURN_MS);
    this.#turns.set(to, { id: has.id, timer });
    if (before === 0) this.#answer(to, has, heard);
  }

  /** How many come before this client in answering another: those who are whole come first, then the lower ids. */
  #placeFor(to) {
    const self = this.#host.awareness.clientID;
    const isBefore = (client) => {
      const isWhole = this.#whole.has(client);
      return isWhole === this.#isWhole ? client < self : isWhole;
    };
    return this.#host.others.filter((client) => client !== to && isBefore(client)).length;
  }

  /** Gives up the turn to answer a client, or only if it is about that `id` of it. */
  #giveUp(to, id) {
    const turn = this.#turns.get(to);
    if (id !== undefined && turn?.id !== id) return;
    clearTimeout(turn?.timer);
    if (id === undefined) this.#turns.delete(to);
  }

  #answer(to, has, heard) {
    const { digest } = this.#stock;
    // An answer goes to everybody: whoever had asked before, and had no less, has got all of it.
    const isBrought =
      this.#brought?.digest === digest && heard <= this.#brought.after && covers(has, this.#brought.has);
    if (!isBrought && this.#stock.hasMoreThan(has)) {
      this.#host.push(this.#stock.missingIn(has));
      this.#brought = { has, digest, after: this.#heard };
    }
    this.#answered.push({ to, id: has.id, until: Date.now() + ANSWER_SHOWN_MS });
    this.#shown = this.#takeStock();
    this.#host.announce();
  }

  #takeStock() {
    this.#toldAt = Date.now();
    return this.#stock.take();
  }
}
