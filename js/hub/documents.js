'use strict';

// Documents with an authority: the app's hooks, and what route handlers call. src/binding/documents.rs is the other side.

const { id, json, jsonList, text } = require('../shared/arguments.js');
const { describe } = require('../shared/callbacks.js');
const { log } = require('../shared/log.js');
const { HubError, invalid } = require('../shared/errors.js');
const { KINDS } = require('./document-options.js');
const { applyAll, BadSteps, flat, mergeUpdates } = require('./merging.js');

const AGENT = 'agent';

/** Tries of editDocument before it gives up: somebody else was quicker each time, or the app's steps never fit. */
const MAX_TRIES = 100;

/** The parameters that are the hub's own. */
const OWN_PARAMETERS = ['documentId', 'clientID', 'token', 'epoch', 'offset'];

/** Settles as `call` does, or rejects after `ms`, and then its signal is aborted. */
async function within(ms, what, call) {
  const controller = new AbortController();
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`${what} has not answered within ${ms} ms`);
      controller.abort(error);
      reject(error);
    }, ms).unref();
  });
  try {
    return await Promise.race([(async () => call(controller.signal))(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function parsed({ doc, docVersion, steps, version }) {
  return {
    doc: JSON.parse(doc),
    docVersion,
    steps: steps.map((each) => ({ version: each.version, steps: JSON.parse(each.steps) })),
    version,
  };
}

function parameters(query) {
  const all = new URLSearchParams(query);
  return Object.fromEntries([...all].filter(([name]) => !OWN_PARAMETERS.includes(name)));
}

/** What `load` has answered, as the native side is told. */
function loaded(answer, kind) {
  if (answer === null) return ['none'];
  if (kind === 'updates') {
    const { state } = Object(answer);
    if (state === undefined) throw new TypeError('load must answer { state } or null');
    return ['some', json(state, 'what load has answered'), 0];
  }
  const { doc, version = 0 } = Object(answer);
  if (doc === undefined) throw new TypeError('load must answer { doc, version } or null');
  if (!Number.isSafeInteger(version) || version < 0) {
    throw new TypeError(`load has answered the version ${String(version)}, which is none`);
  }
  return ['some', json(doc, 'what load has answered'), version];
}

class Documents {
  #native;
  #options;
  #logs;

  /**
   * @param native the native hub
   * @param options as documentOptions has checked them; undefined where all documents are relays
   * @param logs whether anything is logged
   */
  constructor(native, options, logs) {
    this.#native = native;
    this.#options = options;
    this.#logs = logs;
  }

  /** The kind of a document. */
  kindOf(documentId) {
    const kind = this.#options?.kind ?? 'relay';
    const answer = typeof kind === 'function' ? kind(documentId) : kind;
    if (!KINDS.includes(answer)) {
      throw new TypeError(`documents.kind has answered ${String(answer)} for ${documentId}, not ${KINDS.join(' or ')}`);
    }
    return answer;
  }

  /** Takes the calls of hooks there are; each is answered in its own time. */
  dispatch() {
    if (!this.#options) return;
    for (const call of this.#native.takeHookCalls()) {
      const failed = (error) => this.#native.failHook(call.call, describe(error));
      this.#answer(call).catch(failed);
    }
  }

  #answer(call) {
    switch (call.hook) {
      case 'kind':
        return this.#kind(call);
      case 'load':
        return this.#load(call);
      case 'save':
        return this.#save(call);
      default:
        return this.#conflict(call);
    }
  }

  /** Of a document that another process may have loaded. */
  async #kind({ call, document: documentId }) {
    this.#native.answerLoad(call, this.kindOf(documentId), 'nowhere');
  }

  async #load({ call, document: documentId, user, query }) {
    const { load, loadTimeoutMs } = this.#options;
    const kind = this.kindOf(documentId);
    if (kind === 'relay' || !load) return this.#native.answerLoad(call, kind, 'nowhere');
    const about = { documentId, user, parameters: parameters(query) };
    const answer = await within(loadTimeoutMs, 'load', (signal) => load({ ...about, signal }));
    this.#native.answerLoad(call, kind, ...loaded(answer, kind));
  }

  async #save(about) {
    return about.kind === 'updates' ? this.#saveUpdates(about) : this.#saveSteps(about);
  }

  async #saveUpdates({ call, document: documentId, content, previous, reason, editors }) {
    const { save, saveTimeoutMs } = this.#options;
    const all = parsed(content);
    const state = await this.#merged(documentId, all);
    if (save) {
      const updates = all.steps.filter(({ version }) => version >= previous).map(({ steps }) => steps);
      const about = { documentId, state, updates, offset: all.version, previousOffset: previous, reason, editors };
      await within(saveTimeoutMs, 'save', (signal) => save({ ...about, signal }));
    }
    this.#native.answerSave(call, state === undefined ? undefined : json(state, 'what merge has answered'));
  }

  async #saveSteps({ call, document: documentId, content, previous, reason, editors }) {
    const { apply, save, saveTimeoutMs } = this.#options;
    const all = parsed(content);
    let doc;
    try {
      doc = apply && (await applyAll(apply, all));
    } catch (error) {
      if (!(error instanceof BadSteps)) throw error;
      const { good } = error;
      return this.#native.answerSave(call, json(good.doc, 'the document'), good.version, error.message);
    }
    if (save) {
      const steps = flat(all.steps.filter(({ version }) => version >= previous));
      const about = { documentId, doc, steps, version: all.version, previousVersion: previous, reason, editors };
      await within(saveTimeoutMs, 'save', (signal) => save({ ...about, signal }));
    }
    this.#native.answerSave(call, doc === undefined ? undefined : json(doc, 'what apply has answered'));
  }

  async #conflict({ call, document: documentId, content, loadedDoc, loadedVersion, saved }) {
    const { apply, conflict, loadTimeoutMs } = this.#options;
    if (!conflict) return this.#native.answerConflict(call, true);
    const all = parsed(content);
    const about = {
      documentId,
      loaded: loadedDoc === undefined ? null : { doc: JSON.parse(loadedDoc), version: loadedVersion },
      log: {
        doc: apply ? await applyAll(apply, all) : undefined,
        steps: flat(all.steps.filter(({ version }) => version >= saved)),
        version: all.version,
        savedVersion: saved,
      },
    };
    const answer = await within(loadTimeoutMs, 'conflict', (signal) => conflict({ ...about, signal }));
    if (answer !== 'loaded' && answer !== 'log') {
      throw new TypeError(`conflict must answer 'loaded' or 'log', not ${String(answer)}`);
    }
    this.#native.answerConflict(call, answer === 'loaded');
  }

  /** The state of a document of updates; undefined where the app cannot make it. */
  async #merged(documentId, content) {
    const { merge } = this.#options;
    return merge && mergeUpdates(merge, content, (message) => this.#warn(documentId, message));
  }

  #warn(documentId, message) {
    if (this.#logs) log('error', `document ${documentId}: ${message}`, { document: documentId });
  }

  #needs(kind, documentId) {
    const is = this.kindOf(documentId);
    if (is !== kind)
      throw new HubError('HUB_WRONG_KIND', `The document ${documentId} is of kind '${is}', not '${kind}'.`);
  }

  async submitSteps(documentId, { version, steps, clientID = AGENT, changeId } = {}) {
    this.#needs('steps', id(documentId, 'documentId'));
    if (!Number.isSafeInteger(version) || version < 0) invalid('version must be a whole number from 0 on');
    const written = jsonList(steps, 'steps');
    if (steps.length === 0 || !steps.every((step) => typeof Object(step).stepType === 'string')) {
      const given = JSON.parse(written);
      if (given.length === 0 || !given.every((step) => typeof Object(step).stepType === 'string')) {
        invalid('steps must be a non-empty array of steps as their toJSON writes them, each with a stepType');
      }
    }
    const change = changeId === undefined ? undefined : JSON.stringify(text(changeId, 'changeId'));
    const batch = { client: id(clientID, 'clientID'), version, steps: written, count: steps.length, changeId: change };
    const outcome = await this.#native.submitSteps(documentId, batch);
    if (outcome.code === undefined) return { version: version + steps.length };
    throw refused(documentId, outcome);
  }

  async submitUpdate(documentId, update, { clientID = AGENT } = {}) {
    this.#needs('updates', id(documentId, 'documentId'));
    const batch = { client: id(clientID, 'clientID'), steps: json(update, 'update'), count: 1 };
    const outcome = await this.#native.submitSteps(documentId, batch);
    if (outcome.code !== undefined) throw refused(documentId, outcome);
  }

  /** The document as it is now. */
  async getDocument(documentId) {
    const kind = this.kindOf(id(documentId, 'documentId'));
    if (kind === 'relay') this.#needs('steps', documentId);
    const { error, content } = await this.#native.readDocument(documentId);
    if (error !== undefined) {
      throw new HubError('HUB_UNAVAILABLE', `The document ${documentId} could not be loaded: ${error}`);
    }
    const all = parsed(content);
    const { apply, merge } = this.#options;
    if (kind === 'updates') {
      const offset = all.version;
      if (merge) return { state: await this.#merged(documentId, all), offset };
      return { state: all.doc, offset, updates: all.steps.map(({ steps }) => steps) };
    }
    if (!apply) return { doc: all.doc, docVersion: all.docVersion, version: all.version, steps: flat(all.steps) };
    return { doc: await applyAll(apply, all), version: all.version };
  }

  async editDocument(documentId, edit, { clientID, changeId } = {}) {
    this.#needs('steps', id(documentId, 'documentId'));
    if (typeof edit !== 'function') invalid('the second argument must be a function that answers steps, or null');
    if (!this.#options.apply) {
      throw new HubError(
        'HUB_NO_APPLY',
        'editDocument needs the option documents.apply, to make the document it edits.',
      );
    }
    let stale;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const { doc, version } = await this.getDocument(documentId);
      const steps = await edit({ doc, version });
      if (steps === null || steps === undefined || steps.length === 0) return { version };
      try {
        return await this.submitSteps(documentId, { version, steps, clientID, changeId });
      } catch (error) {
        if (error?.code !== 'HUB_STALE') throw error;
        stale = error;
        await new Promise((resolve) => setTimeout(resolve, error.retryInMs ?? 0));
      }
    }
    throw stale;
  }
}

const WORDS = {
  HUB_STALE: 'has gone on since the version the steps were made for',
  HUB_UNKNOWN_VERSION: 'has never had the version the steps were made for',
  HUB_DOCUMENT_TOO_LARGE: 'takes no more until its steps were merged',
  HUB_UNAVAILABLE: 'could not be opened, or stored',
};

function refused(documentId, { code, version, retryInMs }) {
  const error = new HubError(code, `The document ${documentId} ${WORDS[code] ?? 'takes no steps'}.`);
  if (version !== undefined) error.version = version;
  if (retryInMs !== undefined) error.retryInMs = retryInMs;
  return error;
}

/**
 * Sends an agent's steps to the connections of a document, or of one client. In a document with an authority they go
 * through that: past it they would fork the document.
 *
 * @param {{ written: string, count: number, changeId: string }} batch the steps as JSON, and how many they are
 */
async function broadcastSteps(hub, documents, documentId, { written, count, changeId }, { clientID, version }) {
  if (documents.kindOf(documentId) === 'steps') {
    if (version === undefined || clientID !== undefined) {
      throw new HubError(
        'HUB_WRONG_KIND',
        `The document ${documentId} is of kind 'steps'. Steps that go past its authority would fork it: use submitSteps or ` +
          'editDocument, or say with { version } for which version they were made.',
      );
    }
    await documents.submitSteps(documentId, { version, steps: JSON.parse(written), changeId });
    return hub.connectionCount(documentId);
  }
  // Who ProseMirror's collab module takes each step to come from.
  const clientIDs = JSON.stringify(Array.from({ length: count }, () => AGENT));
  const change = JSON.stringify(changeId);
  const message = `{"type":"steps","steps":${written},"clientIDs":${clientIDs},"changeId":${change}}`;
  return hub.publish(documentId, clientID, message);
}

module.exports = { broadcastSteps, Documents };
