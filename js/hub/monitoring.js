'use strict';

// What is told to who watches: metrics, health, lists. src/binding/monitoring.rs is the other side.

const { id, text } = require('../shared/arguments.js');
const { HubError, invalid } = require('../shared/errors.js');
const { runningHub } = require('../shared/global-hub.js');
const { agentStreams } = require('../shared/agent-streams.js');
const { refusals } = require('../http/refuse.js');
const { closeOf } = require('./close-codes.js');

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const MAX_LIMIT = 1000;
const DEFAULT_LIMIT = 100;

const CONNECTION_ORDERS = ['newest', 'oldest', 'waiting', 'idle'];
const DOCUMENT_ORDERS = ['members', 'waiting', 'history', 'unsaved', 'id'];
const KINDS = ['relay', 'steps', 'updates'];

const FILTERS = {
  user: text,
  document: text,
  address: text,
  path: text,
  kind: (value, name) => (KINDS.includes(value) ? value : invalid(`${name} must be one of ${KINDS.join(', ')}`)),
  slow: (value, name) => (typeof value === 'boolean' ? value : invalid(`${name} must be true or false`)),
  olderThanMs: (value, name) => (value >= 0 ? Number(value) : invalid(`${name} must be a number from 0`)),
};

function limitOf(limit = DEFAULT_LIMIT) {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  return invalid(`limit must be a whole number from 1 to ${MAX_LIMIT}`);
}

/** A question as the native side takes it; the first of `orders` is the default. */
function query({ limit, sort, filter = {} } = {}, orders, filters) {
  if (sort !== undefined && !orders.includes(sort)) invalid(`sort must be one of ${orders.join(', ')}`);
  const checked = { limit: limitOf(limit), sort: sort ?? orders[0] };
  for (const [name, value] of Object.entries(filter ?? {})) {
    if (value === undefined) continue;
    if (!filters.includes(name)) invalid(`filter.${name} is not known; there are ${filters.join(', ')}`);
    checked[name] = FILTERS[name](value, `filter.${name}`);
  }
  return checked;
}

const OF_CONNECTIONS = ['user', 'document', 'address', 'path', 'slow', 'olderThanMs'];
const OF_DOCUMENTS = ['document', 'kind', 'user', 'address', 'slow', 'olderThanMs'];

/** What the hub has answered, unless it has ended meanwhile. */
function answered(answer) {
  if (answer === undefined || answer === null) throw new HubError('HUB_CLOSED', 'The hub was closed meanwhile.');
  return answer;
}

/** Registries of prom-client that have the metrics already: modules may be evaluated again and again. */
const registered = new WeakSet();

class Monitoring {
  #native;
  #guarded;
  #sources;
  /** The metrics of this turn: whoever scrapes asks for one after the other. */
  #turn;

  /**
   * @param native the native hub
   * @param guarded makes errors of calls ours
   * @param sources what counts on Node's thread: `{ gate, startupGate, handlers, security, isStarting, isClosing }`
   */
  constructor(native, guarded, sources) {
    this.#native = native;
    this.#guarded = guarded;
    this.#sources = sources;
  }

  get #counts() {
    const { gate, startupGate, handlers } = this.#sources;
    const { running, done, error } = agentStreams();
    return {
      statuses: [...refusals.keys()],
      refused: [...refusals.values()],
      waiting: gate.waiting + startupGate.waiting,
      admission: gate.times?.given,
      calls: handlers.calls.given,
      failedCalls: handlers.calls.failed,
      streams: running,
      endedStreams: [done, error],
      isReady: this.health().ready,
    };
  }

  metricsText() {
    return this.#guarded(() => this.#native.metricsText(this.#counts))();
  }

  metrics() {
    return JSON.parse(this.#guarded(() => this.#native.metricsJson(this.#counts))());
  }

  /** One of the metrics, as prom-client asks for it; undefined where there is none of that name now. */
  metric(name) {
    if (!this.#turn) {
      this.#turn = new Map(this.metrics().map((metric) => [metric.name, metric]));
      setImmediate(() => (this.#turn = undefined)).unref?.();
    }
    return this.#turn.get(name);
  }

  registerMetrics(register) {
    if (typeof register?.registerMetric !== 'function') invalid('register must be a Registry of prom-client');
    if (registered.has(register)) return;
    for (const { name, help, type } of this.metrics()) {
      // The hub may be another one by then.
      const get = () => ({ name, help, type, aggregator: 'sum', values: forClient(name, runningHub()?.metric(name)) });
      register.registerMetric({ name, help, type, aggregator: 'sum', get, reset() {} });
    }
    registered.add(register);
  }

  health() {
    const { isStarting, isClosing } = this.#sources;
    const stuck = this.#native.stuck();
    const reasons = this.#native.unready();
    if (isClosing()) reasons.unshift('the hub is ending');
    if (isStarting()) reasons.unshift('the server is starting');
    return { live: stuck.length === 0, ready: reasons.length === 0, reasons: [...new Set(reasons)] };
  }

  async #answer(ask) {
    return answered(await this.#guarded(ask)(this.#native));
  }

  /** Asks for what has a list in it, which is parsed in pieces: a thousand entries at once would hold everybody up. */
  async #ask(ask) {
    const { about, name, pieces } = await this.#answer(ask);
    const whole = JSON.parse(about);
    if (whole === null) return null;
    const list = [];
    for (const piece of pieces) {
      if (list.length > 0) await nextTurn();
      list.push(...JSON.parse(piece));
    }
    whole[name] = list;
    return whole;
  }

  async connections(about) {
    const asked = query(about, CONNECTION_ORDERS, OF_CONNECTIONS);
    return this.#ask((native) => native.listConnections(asked));
  }

  async documents(about) {
    const asked = query(about, DOCUMENT_ORDERS, OF_DOCUMENTS);
    return this.#ask((native) => native.listDocuments(asked));
  }

  async inspectDocument(documentId) {
    const of = id(documentId, 'documentId');
    return this.#ask((native) => native.inspectDocument(of));
  }

  securityEvents({ limit } = {}) {
    return this.#sources.security.latest(limitOf(limit));
  }

  async disconnectConnection(connectionId, code = 4403, reason = 'Forbidden') {
    if (typeof connectionId !== 'string' || !/^\d{1,15}$/.test(connectionId)) {
      invalid('connectionId must be the id of a connection, as connections() has it');
    }
    const close = closeOf(code, reason);
    return this.#answer((native) => native.closeListed(Number(connectionId), ...close));
  }

  async saveDocument(documentId) {
    const of = id(documentId, 'documentId');
    const { saved, error } = await this.#answer((native) => native.saveDocument(of));
    if (error !== undefined && error !== null) {
      throw new HubError('HUB_UNAVAILABLE', `The document ${documentId} could not be saved: ${error}`);
    }
    return saved ? 'saved' : 'nothing';
  }
}

/** The values of a metric as prom-client has them. */
function forClient(name, metric) {
  return (metric?.values ?? []).flatMap(({ labels, value, count, sum, buckets }) => {
    if (!buckets) return [{ labels, value }];
    const bucket = (le, of) => ({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: of });
    return [
      ...buckets.map((each) => bucket(each.le, each.count)),
      bucket('+Inf', count),
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
}

module.exports = { Monitoring };
