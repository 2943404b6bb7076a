'use strict';

const cluster = require('node:cluster');

const { anyId, id } = require('../shared/arguments.js');
const { integer } = require('../shared/checks.js');
const { HubError, invalid } = require('../shared/errors.js');
const { describe } = require('../shared/callbacks.js');
const { Gate } = require('../admission/gate.js');
const { closeOf } = require('./close-codes.js');
const { Monitoring } = require('./monitoring.js');
const { fromNative, loadNative } = require('./native.js');
const { broadcastSteps, Documents } = require('./documents.js');
const { nativeDocuments } = require('./document-options.js');
const { Channels } = require('./channels.js');
const { Everywhere } = require('./everywhere.js');
const { clusterCounts, processes } = require('./cluster-counts.js');
const { Handlers } = require('./handlers.js');
const { registeredHandlers } = require('../shared/handler-registry.js');
const { hubOptions } = require('./options.js');
const { pathOf } = require('./paths.js');
const { StartupGate } = require('./startup-gate.js');
const { dispatch } = require('../http/dispatch.js');
const { refuse, refusePlain } = require('../http/refuse.js');
const { runningHub } = require('../shared/global-hub.js');
const { log, setLogFormat } = require('../shared/log.js');
const { register, unregister } = require('./running-hub.js');
const { SecurityEvents, toStderr } = require('../admission/security.js');
const { warnings } = require('./warnings.js');
const { originForm, toOriginForm } = require('../http/target.js');
const { chooseProtocol } = require('./subprotocols.js');
const { takeOver } = require('./upgrade.js');

const PREFIX = '/ws';
const DEFAULT_CLOSE_MS = 5000;

/** Longest time that a hub that ends takes to say so to handlers of other processes; and the least, where the rest has used up all. */
const GOODBYE_MS = 1000;
const LEAST_GOODBYE_MS = 300;
const RESTARTING = 'The server is restarting.';

/** How long a process waits for the one before, which serves until this one is ready, to leave what it remembers. */
const OVERLAP_MS = 10_000;

function owns(url) {
  const path = pathOf(url ?? '');
  return path === PREFIX || path.startsWith(`${PREFIX}/`);
}

/** Calls the native side with its errors made ours. */
function guarded(call) {
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      throw fromNative(error);
    }
  };
}

let isFlushed = false;

/**
 * @param options as the app gave them
 * @param {(request) => Promise<void> | undefined} [whenRegistered] what an upgrade waits for: that the app has registered
 *   its handlers. Where it is given, the hub is starting until `started` was called
 */
function createHub(options, whenRegistered) {
  const checked = hubOptions(options);
  setLogFormat(checked.logFormat);
  if (runningHub()) invalid('a hub runs in this process already; close it first');
  const { NativeHub } = loadNative();
  if (!isFlushed) {
    isFlushed = true;
    // What was said last would be lost with the thread that writes it.
    process.once('exit', () => NativeHub.flushLog());
  }
  let handlers;
  let documents;
  // Functions and what JavaScript keeps to are none of the native side's.
  const { session, access, onSecurityEvent, allowedOrigins, trustProxy, limits, ...nativeOptions } = checked;
  const ofDocuments = checked.documents && nativeDocuments(checked.documents);
  let hub;
  const notify = () => {
    handlers.dispatch();
    documents.dispatch();
    hub?.dispatchCalls();
  };
  const native = guarded(() => {
    return new NativeHub({ ...nativeOptions, limits: limits.native, documents: ofDocuments }, notify);
  })();
  handlers = new Handlers(native, checked.logLevel !== 'off');
  const quiet = checked.logLevel === 'off' ? () => {} : toStderr;
  documents = new Documents(native, checked.documents, checked.logLevel !== 'off');
  const security = new SecurityEvents(onSecurityEvent ?? quiet, NativeHub);
  for (const [level, line] of warnings(checked)) log(level, line);
  hub = new Hub(native, checked, { handlers, documents, security, whenRegistered });
  // What was said before there was anybody to do it.
  hub.dispatchCalls();
  return hub;
}

/** Why a document that several processes have takes nothing of a route handler. */
const REFUSED = {
  HUB_UNAVAILABLE: 'Redis is away, or was for too long, or it could not be loaded',
  HUB_DOCUMENT_TOO_LARGE: 'more stands beside its steps than may until there is a newer snapshot',
};

class Hub {
  #native;
  #options;
  #handlers;
  #startupGate;
  #whenRegistered;
  #security;
  #gate;
  #everywhere;
  #closing;
  #isStarting;
  #monitoring;
  #registered;
  #detachers = new Set();
  /** Until the process before has ended, where that still serves; clients that come back are to find what it remembers. */
  #handedOver;
  #basePath = '';

  constructor(native, options, { handlers, documents, security, whenRegistered }) {
    this.#native = native;
    this.#options = options;
    this.#handlers = handlers;
    this.#isStarting = whenRegistered !== undefined;
    this.#whenRegistered = whenRegistered ?? (() => undefined);
    this.#startupGate = new StartupGate(options.registrationTimeoutMs);
    const serve = guarded((handler) => handlers.serve(handler));
    for (const handler of registeredHandlers()) serve(handler);
    this.#security = security;
    if (options.stateDir !== undefined) this.#waitForState();
    this.#gate = new Gate(options, security);
    const logs = options.logLevel !== 'off';
    if (options.redis) handlers.channels = new Channels(native);
    this.#everywhere = new Everywhere(native, this.#acts(), { isAlone: !options.redis, logs });
    const monitoring = new Monitoring(native, guarded, {
      gate: this.#gate,
      startupGate: this.#startupGate,
      handlers,
      security,
      isStarting: () => this.#isStarting,
      isClosing: () => this.#closing !== undefined,
    });
    this.#monitoring = monitoring;
    this.#registered = {
      logFormat: options.logFormat,
      writeLog: loadNative().NativeHub.writeLog,
      publish: options.redis
        ? (...of) => this.#publishEverywhere(...of)
        : guarded((documentId, clientID, message) => native.publish(documentId, clientID, message)),
      broadcast: guarded((path, message) => native.broadcast(path, message)),
      publishToRoom: guarded((path, room, message, except) => handlers.publish(path, room, message, except)),
      broadcastSteps: (...of) => broadcastSteps(this.#registered, documents, ...of),
      submitSteps: (documentId, batch) => documents.submitSteps(documentId, batch),
      submitUpdate: (documentId, update, about) => documents.submitUpdate(documentId, update, about),
      editDocument: (documentId, edit, about) => documents.editDocument(documentId, edit, about),
      getDocument: (documentId) => documents.getDocument(documentId),
      whenSent: (path, room) => handlers.whenSent(path, room),
      channels: handlers.channels,
      connectionCount: (name) => native.connectionCount(name),
      endpointCount: (path) => native.endpointCount(path),
      documents: () => native.documents(),
      clusterCounts: guarded(() => clusterCounts(native)),
      processes: guarded(() => processes(native)),
      serve,
      setAccess: (about, access) => this.#setAccess(about, access),
      disconnectUser: (userId, code, reason) => this.#disconnectUser(userId, code, reason),
      recheckAccess: async (documentId) => {
        return guarded(() => this.#everywhere.do('recheckAccess', id(documentId, 'documentId')))();
      },
      renewSession: (about) => this.#renewSession(about),
      disconnectConnection: (...given) => monitoring.disconnectConnection(...given),
      saveDocument: (documentId) => monitoring.saveDocument(documentId),
      connections: (about) => monitoring.connections(about),
      listDocuments: (about) => monitoring.documents(about),
      inspectDocument: (documentId) => monitoring.inspectDocument(documentId),
      metrics: () => monitoring.metrics(),
      metric: (name) => monitoring.metric(name),
      metricsText: () => monitoring.metricsText(),
      registerMetrics: (registry) => monitoring.registerMetrics(registry),
      securityEvents: (about) => monitoring.securityEvents(about),
      health: () => monitoring.health(),
      reportSecurityEvent: (code, about) => this.#security.report(code, about),
    };
    register(this.#registered);
  }

  /** Only under Node's cluster are two processes there at once: the next one listens before the last one ends. */
  #waitForState() {
    const done = () => (this.#handedOver = undefined);
    this.#handedOver = this.#native.waitForState(cluster.isWorker ? OVERLAP_MS : 0).then(done, done);
  }

  /** Does what other processes want done. */
  dispatchCalls() {
    this.#everywhere.dispatch();
  }

  owns(url) {
    return owns(url);
  }

  get paths() {
    return this.#native.paths();
  }

  attach(server) {
    // Node leaves an upgrade open for ever where no listener answers it.
    const rest = (_request, socket) => {
      if (server.listenerCount('upgrade') === 1) refuse(socket, 404, 'Nobody serves this upgrade.');
    };
    return this.#dispatch(server, { rest, plain: false });
  }

  /**
   * For startServer: a server whose other upgrades go to `rest`, and whose plain requests `request` sees first. The hub's
   * paths are below Next's `basePath`, too: a page that knows only that one finds them there.
   */
  serve(server, rest, basePath) {
    this.#basePath = basePath;
    return this.#dispatch(server, { rest, plain: true });
  }

  /** A request target as the hub's own, in origin-form and without a base path; undefined where it is none. */
  #target(url) {
    const target = originForm(url);
    if (owns(target)) return target;
    const below = this.#basePath && target.startsWith(`${this.#basePath}/`) && target.slice(this.#basePath.length);
    return below && owns(below) ? below : undefined;
  }

  #dispatch(server, rest) {
    const take = (request, socket, head) => this.upgrade(request, socket, head);
    const undo = dispatch(server, { owns: ({ url }) => this.#target(url) !== undefined, take, ...rest });
    const detach = () => {
      undo();
      this.#detachers.delete(detach);
    };
    this.#detachers.add(detach);
    return detach;
  }

  request(request, response) {
    if (this.#target(request.url) === undefined) return false;
    refusePlain(request, response);
    return true;
  }

  upgrade(request, socket, head) {
    toOriginForm(request);
    request.url = this.#target(request.url) ?? request.url;
    if (this.#closing) return refuse(socket, 503, RESTARTING);
    const registered = this.#whenRegistered(request);
    if (!registered && !this.#handedOver) return this.#take(request, socket, head);
    this.#startupGate.hold(Promise.all([registered, this.#handedOver]), socket, (refusal) => {
      if (refusal) refuse(socket, 503, refusal);
      else this.#take(request, socket, head);
    });
  }

  #take(request, socket, head) {
    const fail = (cause) => {
      const { code, message } = fromNative(cause);
      // EMFILE is the likely one: Node still has the socket and can say so.
      if (this.#options.logLevel !== 'off') {
        log('error', `an upgrade was refused: ${message} (${code})`);
      }
      refuse(socket, 503, code === 'HUB_CLOSED' ? RESTARTING : 'The server cannot take another connection.');
    };
    try {
      this.#gate.admit(request, socket, (admission) => {
        try {
          const protocol = this.#protocol(request);
          const given = protocol === undefined ? admission : { ...admission, protocol };
          const id = takeOver(this.#native, this.#options, request, socket, head, given, fail);
          if (id !== undefined) this.#handlers.announce(id, request, admission.user, protocol);
        } catch (error) {
          fail(error);
        }
      });
    } catch (error) {
      fail(error);
    }
  }

  /** The subprotocol to answer with; undefined where none is offered. */
  #protocol(request) {
    try {
      return chooseProtocol(request, this.#handlers.handlerOf(request));
    } catch (error) {
      // The client is told that none was taken, and decides whether it can go on.
      if (this.#options.logLevel !== 'off') log('error', `handleProtocols: ${describe(error)}`);
      return '';
    }
  }

  /** For startServer: it listens, and the app has registered its handlers. */
  started() {
    this.#isStarting = false;
  }

  health() {
    return this.#monitoring.health();
  }

  metrics() {
    return this.#monitoring.metrics();
  }

  metricsText() {
    return this.#monitoring.metricsText();
  }

  /** Resolves with how many connections of all processes got it. */
  async #publishEverywhere(documentId, clientID, message) {
    const native = this.#native;
    const { code, count } = await guarded(() => native.publishEverywhere(documentId, clientID, message))();
    if (code)
      throw new HubError(code, `The document ${documentId} takes nothing: ${REFUSED[code] ?? 'the log says why'}.`);
    return count;
  }

  stats() {
    const redis = this.#native.clusterState() ?? undefined;
    return { ...this.#native.stats(), events: this.#security.totals, ...(redis && { redis }) };
  }

  /** For startServer, once .env was read: rejects where a session could never be verified. */
  async prepare() {
    await this.#options.session?.prepare?.();
  }

  /** What changes what clients may do: here, and in every other process. */
  #acts() {
    const native = this.#native;
    return {
      setAccess: (userId, documentId, access) => {
        this.#gate.invalidate(userId, documentId);
        return native.setAccess(userId, documentId, access === false ? 'none' : access);
      },
      disconnectUser: (userId, code, reason) => {
        this.#gate.disconnect(userId, code, reason);
        return native.disconnectUser(userId, code, reason);
      },
      recheckAccess: (documentId) => this.#recheckAccess(documentId),
      // What is left of a session is less by the time another process hears of it.
      renewSession: (user, session, endsAt) => native.renewSession(user, session, Math.max(0, endsAt - Date.now())),
    };
  }

  #setAccess(about, access) {
    const { userId, documentId } = about ?? {};
    if (!['read', 'write', false].includes(access)) invalid("access must be 'read', 'write' or false");
    const of = [anyId(userId, 'userId'), id(documentId, 'documentId')];
    return guarded(() => this.#everywhere.do('setAccess', ...of, access))();
  }

  #disconnectUser(userId, code = 4401, reason = 'Unauthorized') {
    const of = [anyId(userId, 'userId'), ...closeOf(code, reason)];
    return guarded(() => this.#everywhere.do('disconnectUser', ...of))();
  }

  async #recheckAccess(documentId) {
    const native = this.#native;
    const connections = guarded(() => native.connectionsOf(documentId))();
    this.#gate.invalidate(undefined, documentId);
    await this.#gate.recheck(documentId, connections, ({ user, serial }, access) => {
      // Who may stay is not known: coming back is decided about anew.
      if (access === null) native.disconnectConnection(user, serial, 1013, 'Access could not be decided');
      else native.setConnectionAccess(user, serial, access);
    });
    return connections.length;
  }

  async #renewSession(about) {
    const renewal = await this.#gate.renewal(about);
    if (!renewal) return 0;
    const { user, session, leftMs } = renewal;
    return guarded(() => this.#everywhere.do('renewSession', user, session, Date.now() + leftMs))();
  }

  close({ timeoutMs = DEFAULT_CLOSE_MS, awayMs = 0 } = {}) {
    try {
      integer(timeoutMs, 'timeoutMs');
      integer(awayMs, 'awayMs');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#closing ??= this.#close(timeoutMs, awayMs);
    return this.#closing;
  }

  async #close(timeoutMs, awayMs) {
    const deadline = performance.now() + timeoutMs;
    this.#startupGate.close(RESTARTING);
    this.#gate.close();
    const terminated = await this.#native.close(timeoutMs, awayMs);
    const left = (least) => Math.max(least, deadline - performance.now());
    await this.#handlers.finish(left(0));
    await this.#handlers.channels?.leave(Math.min(left(LEAST_GOODBYE_MS), GOODBYE_MS));
    this.#native.discard();
    this.#security.close();
    for (const detach of this.#detachers) detach();
    unregister(this.#registered);
    return { terminated };
  }
}

module.exports = { createHub };
