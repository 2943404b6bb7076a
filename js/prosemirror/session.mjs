// One editor's conversation with the authority of its document. It needs no view: anything with `state` and `dispatch` will do.
import { receiveTransaction, sendableSteps } from 'prosemirror-collab';
import { Step, Transform } from 'prosemirror-transform';
import { difference } from './difference.mjs';
import { confirmedSelection, Places } from './places.mjs';
import { by, change, fabricKey, fabricStatus, unconfirmedOf } from './state.mjs';

/** Steps of one batch at most; what is typed meanwhile, or was typed without a connection, goes with the next ones. */
const MOST_STEPS = 200;
/** After so long without an answer to steps, the hub is asked what it has. */
const ANSWER_MS = 10_000;
/** Errors that are not about steps, though steps may be on their way. */
const NOT_OF_STEPS = ['BAD_JSON', 'RATE_LIMITED', 'UNKNOWN_TYPE', 'UNEXPECTED', 'HISTORY_GONE'];

/** After these a version may be of other steps: something that this editor has seen may be gone, where Redis has lost it. */
const OF_ANOTHER_DOCUMENT = ['OTHER_EPOCH', 'BAD_OFFSET', 'OFFSETS_OUT_OF_ORDER'];

function fault(code, message, cause) {
  return Object.assign(new Error(message, cause && { cause }), { name: 'FabricCollabError', code });
}

const isWhole = (number) => Number.isSafeInteger(number) && number >= 0;

/** See prosemirror.d.mts. */
export class CollabSession {
  #editor;
  #client;
  #options;
  #offs = [];
  #places = new Places();
  /** From a question about the document until all of its answer was taken. */
  #isSyncing = true;
  /** The version that the answer leads to; null until the hub has said it. */
  #target = null;
  /** Why the document comes anew, where it does. */
  #reason = '';
  /** Whether its version is good for nothing, until the whole document has come: the connection may be cut before that. */
  #wantsWhole = false;
  /** Whether this answer was the whole document, and how often in a row that did not help. */
  #wasWhole = false;
  /** The version that steps were sent for which are not answered; null where none are. */
  #asked = null;
  /** Batches of this connection that were given up without an answer, so that one may come that is of none since. */
  #strays = 0;
  /** How many of the unconfirmed steps, from the first on, the hub may have accepted. */
  #mayBeAccepted = 0;
  #turnTimer;
  #answerTimer;
  #told = '';
  /** The user, where the others cannot know the place before all steps have reached them. */
  #showAgain = null;

  constructor(editor, client, options = {}) {
    this.#editor = editor;
    this.#client = client;
    this.#options = options;
  }

  /** Begins to listen, and connects a client that was not connected yet. */
  start() {
    // Of a state that was another session's nobody knows any more what was sent.
    this.#mayBeAccepted = unconfirmedOf(this.#editor.state).length;
    this.#offs.push(
      this.#client.on('connected', () => this.#opened()),
      this.#client.on('recovered', () => this.#opened()),
      this.#client.on('reload', ({ reason }) => this.#opened(reason)),
      this.#client.on('message', (message) => this.#receive(message)),
      this.#client.on('status', (status) => this.#follow(status)),
    );
    const { state } = this.#client.status;
    if (state === 'open') this.#opened();
    else if (state === 'idle') this.#client.connect();
    else this.#follow(this.#client.status);
  }

  /** Stops listening. The client is the app's, and stays as it is. */
  stop() {
    this.#stopTimers();
    for (const off of this.#offs.splice(0)) off();
  }

  /** To be called after every transaction that is not this session's own. */
  update() {
    this.#send();
    this.#tell();
  }

  /** Says where this editor's user is; `fields` name the user. */
  show(fields) {
    const { state } = this.#editor;
    if (this.#isSyncing || this.#version === null) return;
    const { selection, isExact } = confirmedSelection(state);
    this.#showAgain = isExact ? null : fields;
    this.#client.send('presence', { ...fields, selection, version: this.#version });
  }

  get #version() {
    return fabricKey.getState(this.#editor.state).version;
  }

  #change(fields) {
    this.#dispatch(change(this.#editor.state.tr, fields));
  }

  #dispatch(transaction) {
    this.#editor.dispatch(transaction);
    this.#tell();
  }

  /** Tells the app of a status that is another. */
  #tell() {
    if (!this.#options.onStatus) return;
    const status = fabricStatus(this.#editor.state);
    const told = JSON.stringify(status);
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onStatus(status);
  }

  #fail(error) {
    if (this.#options.onError) this.#options.onError(error);
    else console.error(error);
  }

  /** Stops sending until the next connection: the same again would only fail again. */
  #stopWith(error) {
    this.#answered();
    this.#change({ fault: error.code, reason: error.message });
    this.#fail(error);
  }

  // ---- the connection -------------------------------------------------------------------------------------------

  /** A connection is there; `reason` is why what was missed is not made good, where it is not. */
  #opened(reason) {
    this.#stopTimers();
    this.#asked = null;
    this.#strays = 0;
    this.#wasWhole = false;
    this.#places.forgetWaiting();
    this.#change({
      link: this.#version === null ? 'connecting' : 'offline',
      fault: null,
      reason: '',
      peers: new Map(),
    });
    const isOther = OF_ANOTHER_DOCUMENT.includes(reason);
    if (isOther) this.#reason = reason;
    this.#sync(isOther);
  }

  #follow({ state, reason }) {
    if (state === 'open') return;
    this.#stopTimers();
    this.#isSyncing = true;
    this.#asked = null;
    const link = state === 'closed' ? 'closed' : this.#version === null ? 'connecting' : 'offline';
    this.#change({ link, reason, peers: new Map() });
  }

  #stopTimers() {
    clearTimeout(this.#turnTimer);
    clearTimeout(this.#answerTimer);
    this.#turnTimer = this.#answerTimer = undefined;
  }

  /** Asks for what is missing, or for the whole document. */
  #sync(whole = false) {
    this.#stopTimers();
    this.#asked = null;
    this.#isSyncing = true;
    this.#target = null;
    this.#wantsWhole ||= whole;
    const version = this.#version;
    this.#client.submit('sync', this.#wantsWhole || version === null ? {} : { version });
  }

  /** Whether all that was asked for is there. */
  #settle() {
    if (!this.#isSyncing || this.#target === null || this.#version === null || this.#version < this.#target) return;
    this.#isSyncing = false;
    this.#wasWhole = false;
    this.#change({ link: 'live', reason: '' });
    this.#options.onLive?.();
    this.#send();
  }

  #receive(message) {
    switch (message.type) {
      case 'synced':
        return this.#synced(message);
      case 'upToDate':
        return this.#synced(message);
      case 'sync':
        return this.#replace(message);
      case 'steps':
        return this.#accepted(message);
      case 'reload':
        this.#reason = String(message.reason);
        return this.#sync(true);
      case 'saved':
        return isWhole(message.version) ? this.#change({ savedVersion: message.version }) : undefined;
      case 'access':
        return this.#change({ isReadOnly: message.access === 'read' }) ?? this.#send();
      case 'presence':
        return this.#present(message);
      case 'user_left':
        return this.#left(message);
      case 'error':
        return this.#refused(message);
    }
  }

  #synced({ type, version }) {
    if (!this.#isSyncing) return;
    if (!isWhole(version)) {
      // A relay answers so, and never gives a document.
      if (this.#version === null)
        this.#stopWith(fault('WRONG_KIND', 'The hub keeps no steps of this document: it is not of the kind "steps"'));
      return;
    }
    if (type === 'upToDate' && version > this.#version) return this.#sync(true);
    this.#target = version;
    // After `synced` the answer goes on, also where the version is this editor's own or has fallen behind it.
    if (type === 'upToDate') this.#settle();
  }

  // ---- steps ----------------------------------------------------------------------------------------------------

  #accepted({ version, steps, clientIDs, clientID }) {
    // Without a version they have gone past the authority.
    if (this.#version === null || !isWhole(version) || !Array.isArray(steps)) return;
    const known = this.#version - version;
    // While the answer is on its way it closes every gap.
    if (known < 0) return this.#isSyncing ? undefined : this.#sync();
    if (known >= steps.length) return this.#settle();
    const authors = (Array.isArray(clientIDs) ? clientIDs : steps.map(() => clientID)).slice(known);
    let received;
    try {
      received = this.#transactionOf(steps.slice(known), authors);
    } catch (cause) {
      return this.#doNotFit(cause);
    }
    this.#take(received);
    this.#settle();
    this.#send();
  }

  #transactionOf(json, authors) {
    const { state } = this.#editor;
    const steps = json.map((step) => Step.fromJSON(state.schema, step));
    const own = this.#countOwn(steps, authors);
    // prosemirror-collab takes by the id alone what comes first for its own, though it may be another window's, or one of
    // this editor's that its document has already.
    const clientIDs = steps.map((_, index) => (index < own ? this.#client.clientID : null));
    return {
      steps,
      authors,
      own,
      transaction: receiveTransaction(state, steps, clientIDs, { mapSelectionBackward: true }),
    };
  }

  #take({ steps, authors, own, transaction }) {
    this.#places.passed(steps, authors, this.#version);
    if (own > 0) this.#answered();
    // After steps of others what was sent for the version before them is refused.
    this.#mayBeAccepted = own < steps.length ? 0 : Math.max(0, this.#mayBeAccepted - own);
    const version = this.#version + steps.length;
    this.#dispatch(change(by(transaction, authors), { version }));
    this.#placeWaiting();
    if (this.#showAgain && unconfirmedOf(this.#editor.state).length === 0) this.show(this.#showAgain);
  }

  /** How many of these steps, from the first on, are this editor's own come back. */
  #countOwn(steps, authors) {
    const sent = unconfirmedOf(this.#editor.state).slice(0, this.#mayBeAccepted);
    const isOwn = (step, index) =>
      String(authors[index]) === this.#client.clientID &&
      JSON.stringify(step.toJSON()) === JSON.stringify(sent[index].step.toJSON());
    let own = 0;
    while (own < Math.min(steps.length, sent.length) && isOwn(steps[own], own)) own += 1;
    return own;
  }

  /** A step of the log that fits nowhere would stop every editor; the hub may have cut it out meanwhile. */
  #doNotFit(cause) {
    const error = fault('STEPS_DO_NOT_FIT', 'Steps of the document do not fit it', cause);
    if (this.#wasWhole) return this.#stopWith(error);
    this.#fail(error);
    this.#reason = error.code;
    this.#sync(true);
  }

  #send() {
    const { state } = this.#editor;
    const { isReadOnly, fault: stopped, version } = fabricKey.getState(state);
    if (this.#isSyncing || this.#asked !== null || this.#turnTimer !== undefined || isReadOnly || stopped) return;
    const sendable = sendableSteps(state);
    if (!sendable) return;
    let steps = sendable.steps.slice(0, MOST_STEPS).map((step) => step.toJSON());
    // What is confirmed is a beginning of what waits, so that a part of it can go first.
    while (steps.length > 0 && !this.#client.fits('steps', steps, version)) steps = steps.slice(0, steps.length / 2);
    if (steps.length === 0) {
      this.#asked = version;
      // Not now: this may be in the middle of an update of the view.
      queueMicrotask(() => this.#stopWith(fault('STEP_TOO_LONG', 'A change is longer than the hub takes messages')));
      return;
    }
    if (!this.#client.submit('steps', { version, steps })) return;
    this.#asked = version;
    this.#mayBeAccepted = Math.max(this.#mayBeAccepted, steps.length);
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => {
      this.#strays += 1;
      this.#sync();
    }, ANSWER_MS);
  }

  #answered() {
    this.#asked = null;
    clearTimeout(this.#answerTimer);
  }

  #refused({ code, version, retryInMs, message }) {
    const said = `The hub refuses: ${message ?? ''} (${code})`;
    if (code === 'VERSION_MISMATCH') return this.#isNotItsTurn(version, retryInMs);
    if (code === 'READ_ONLY') {
      this.#answered();
      this.#change({ isReadOnly: true });
      return this.#fail(fault(code, 'This user may only read the document'));
    }
    if (this.#asked === null || NOT_OF_STEPS.includes(code)) return this.#fail(fault(code, said));
    if (!(retryInMs > 0)) return this.#stopWith(fault(code ?? 'REFUSED', said));
    this.#answered();
    this.#sendIn(retryInMs);
  }

  #isNotItsTurn(version, retryInMs) {
    if (this.#asked === null) return;
    if (this.#strays > 0 && version === this.#asked) {
      this.#strays -= 1;
      return;
    }
    this.#answered();
    // What is missing comes before the refusal, and more perhaps. Where it has not, the hub is an older one.
    if (!(version <= this.#version)) return this.#sync();
    if (retryInMs > 0) this.#sendIn(retryInMs);
    else this.#send();
  }

  #sendIn(ms) {
    clearTimeout(this.#turnTimer);
    this.#turnTimer = setTimeout(() => {
      this.#turnTimer = undefined;
      this.#send();
    }, ms);
  }

  // ---- the whole document ---------------------------------------------------------------------------------------

  #replace({ doc, version }) {
    // Nobody asked for it here: the client has asked a silent hub for a sign of life.
    if (!this.#isSyncing || !isWhole(version)) return;
    let wanted;
    try {
      const { schema } = this.#editor.state;
      // A document that nobody has written anything to is the schema's empty one, the same for everybody.
      wanted = doc === null ? schema.topNodeType.createAndFill() : schema.nodeFromJSON(doc);
      wanted.check();
    } catch (cause) {
      return this.#stopWith(fault('BAD_DOCUMENT', 'The document does not fit the schema of this editor', cause));
    }
    const { doc: before } = this.#editor.state;
    const wasLoaded = this.#version !== null;
    this.#wantsWhole = false;
    const waiting = unconfirmedOf(this.#editor.state).length;
    // What a plugin has put into the empty document before it was loaded is no change of the user's.
    const uncertain = wasLoaded ? Math.min(this.#mayBeAccepted, waiting) : waiting;
    this.#mayBeAccepted = 0;
    this.#wasWhole = true;
    // As if these had been accepted: if they were they are in the document, and if not the difference takes them out.
    // Sent again, they might be in it twice.
    if (uncertain > 0) {
      const steps = sendableSteps(this.#editor.state).steps.slice(0, uncertain);
      const own = steps.map(() => this.#client.clientID);
      this.#dispatch(change(receiveTransaction(this.#editor.state, steps, own), {}));
    }
    this.#dispatch(change(this.#transactionTo(wanted), { version }));
    this.#places.forget();
    if (wasLoaded) {
      const dropped = waiting - uncertain - unconfirmedOf(this.#editor.state).length;
      this.#options.onReload?.({ reason: this.#reason || 'HISTORY_GONE', uncertain, dropped, before });
    }
    this.#reason = '';
    this.#target ??= version;
    this.#settle();
  }

  /** Puts a document under the steps that wait. */
  #transactionTo(wanted) {
    const { state } = this.#editor;
    const confirmed = new Transform(state.doc);
    for (const { inverted } of [...unconfirmedOf(state)].reverse()) confirmed.step(inverted);
    const steps = difference(confirmed.doc, wanted);
    return receiveTransaction(
      state,
      steps,
      steps.map(() => null),
      { mapSelectionBackward: true },
    );
  }

  // ---- presence -------------------------------------------------------------------------------------------------

  #present(message) {
    const peer = this.#places.peerOf(message);
    if (peer === null || peer.clientID === this.#client.clientID) return;
    this.#places.wait(peer);
    this.#placeWaiting();
  }

  #left({ clientID }) {
    this.#places.forgetWaiting(clientID);
    const peers = new Map(fabricKey.getState(this.#editor.state).peers);
    if (peers.delete(clientID)) this.#change({ peers });
  }

  #placeWaiting() {
    const { state } = this.#editor;
    const placed = this.#places.due(state, this.#version);
    if (placed.length === 0) return;
    const peers = new Map(fabricKey.getState(state).peers);
    for (const peer of placed) peers.set(peer.clientID, peer);
    this.#change({ peers });
  }
}
