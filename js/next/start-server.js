'use strict';

const cluster = require('node:cluster');
const { EventEmitter, once } = require('node:events');
const http = require('node:http');
const { createRequire } = require('node:module');
const { join, resolve } = require('node:path');

const { banner } = require('./banner.js');
const { integer } = require('../shared/checks.js');
const {
  commandLine,
  fromEnvironment,
  hostnameWarning,
  keepAliveFromEnvironment,
  nodeEnvironment,
} = require('./command-line.js');
const { EditedHandlers } = require('./development.js');
const { HubError, invalid } = require('../shared/errors.js');
const { log } = require('../shared/log.js');
const { createHub } = require('../hub/hub.js');
const { stateDirFromEnvironment } = require('../hub/options.js');
const { nextConfig } = require('./next-config.js');
const { NextUpgrades } = require('./next-upgrades.js');
const { instrumentationRegistered } = require('./instrumentation.js');
const { onSignal } = require('./signals.js');
const { explainIncompleteNext, useStandaloneConfig } = require('./standalone.js');

const DEFAULT_PORT = 3000;
const DEFAULT_SHUTDOWN_MS = 8000;

/** Longest time a timer of Node takes. */
const MAX_TIMER_MS = 0x7fff_ffff;

/** Connections the kernel may hold until Node accepts them: everybody comes back at once after a restart. */
const BACKLOG = 4096;

/** Part of the shutdown's time that is kept for HTTP and Next after the hub has closed its clients. */
const HTTP_SHARE = 0.25;

/** Where what is remembered outlives a restart, beside the default of the store of documents. */
const STATE_DIR = '.hub';

/** Longest time for which clients are told to stay away while the process starts anew. */
const MAX_AWAY_MS = 30_000;

/** How often a shutdown closes the connections that have had their answer. */
const IDLE_ROUND_MS = 50;

function serverOptions(options) {
  if (typeof options !== 'object' || options === null) invalid('options must be an object');
  const given = commandLine(options.args ?? process.argv.slice(2));
  const mode = nodeEnvironment();
  const dir = resolve(options.dir ?? process.cwd());
  const dev = options.dev ?? mode !== 'production';
  return {
    dir,
    dev,
    port: portOf({ 'option port': options.port, 'argument --port': given.port, PORT: fromEnvironment('PORT') }),
    hostname: hostnameOf(options.hostname ?? given.hostname),
    keepAliveTimeoutMs: keepAliveOf(
      options.keepAliveTimeoutMs ?? given.keepAliveTimeoutMs ?? keepAliveFromEnvironment(),
    ),
    shutdownTimeoutMs: integer(options.shutdownTimeoutMs ?? DEFAULT_SHUTDOWN_MS, 'shutdownTimeoutMs', { min: 1 }),
    next: { ...given.next, ...options.next },
    hub: withStateDir(options.hub ?? {}, dir, dev),
    print: options.banner === false ? () => {} : (options.banner ?? console.log),
  };
}

/** An edit restarts a development server, and what was remembered then may be of what is edited. */
function withStateDir(hub, dir, dev) {
  if (typeof hub !== 'object' || hub.stateDir !== undefined) return hub;
  return { ...hub, stateDir: stateDirFromEnvironment() ?? (dev ? false : join(dir, STATE_DIR)) };
}

/** A path is a unix-domain socket, or a pipe of Windows, as hosts such as Passenger and iisnode give it. */
const isPath = (value) => typeof value === 'string' && /[\\/]/.test(value);

/** The first that is given counts, as a number, as text or as a path; text without a character is as good as none. */
function portOf(candidates) {
  const isGiven = ([, value]) => value !== undefined && value !== null && String(value).trim() !== '';
  const [name, value] = Object.entries(candidates).find(isGiven) ?? ['', DEFAULT_PORT];
  if (isPath(value)) return value;
  const port = typeof value === 'string' ? Number(value) : value;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    invalid(`${name} must be a port number or the path of a socket, not ${String(value)}`);
  }
  return port;
}

/** The name or address to listen on; `undefined` for every address. `[::1]`, as in a URL, is `::1`. */
function hostnameOf(value) {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') invalid(`option hostname must be a string, not ${String(value)}`);
  return value.trim().replace(/^\[(.*)\]$/, '$1') || undefined;
}

function keepAliveOf(value) {
  return value === undefined ? undefined : integer(value, 'keepAliveTimeoutMs', { max: MAX_TIMER_MS });
}

/** The app's own Next, wherever this package is installed. */
function loadNext(dir) {
  try {
    const next = createRequire(join(dir, 'package.json'))('next');
    return next.default ?? next;
  } catch (error) {
    const known = explainIncompleteNext(error, dir);
    if (known !== error || error.code !== 'MODULE_NOT_FOUND') throw known;
    throw new HubError(
      'HUB_NEXT_MISSING',
      `There is no next in ${dir}. Start server.mjs in the app's directory after npm install, or pass the option dir.`,
      { cause: error },
    );
  }
}

const NO_ADDRESS = 'this machine has no such address; without hostname it listens on every one';
const LISTEN_HINTS = {
  EADDRINUSE: 'another process listens there',
  EACCES: 'this user may not listen there; ports below 1024 are for root, or for who was given them',
  EADDRNOTAVAIL: NO_ADDRESS,
  ENOTFOUND: NO_ADDRESS,
  EAI_AGAIN: NO_ADDRESS,
};

async function listen(server, { port, hostname }) {
  const at = typeof port === 'string' ? { path: port } : { port, host: hostname };
  server.listen({ ...at, backlog: BACKLOG });
  try {
    await once(server, 'listening');
  } catch (error) {
    const where = `${hostname ?? 'every address'}, port ${port}`;
    const hint = LISTEN_HINTS[error.code] ?? error.message;
    throw new HubError('HUB_LISTEN_FAILED', `Could not listen on ${where}: ${hint} (${error.code})`, { cause: error });
  }
}

const isEverywhere = (hostname) => !hostname || hostname === '0.0.0.0' || hostname === '::';

function urlOf(server, hostname) {
  const at = server.address();
  if (typeof at === 'string') return `http://unix:${at}`;
  const host = isEverywhere(hostname) ? 'localhost' : hostname.includes(':') ? `[${hostname}]` : hostname;
  return `http://${host}:${at.port}`;
}

/** What it listens on, where that was chosen: `localhost` may be another address than what a proxy asks. */
function addressOf(server, hostname) {
  const at = server.address();
  if (typeof at === 'string') return at;
  if (isEverywhere(hostname)) return undefined;
  const { address } = at;
  return address === hostname ? address : `${address} (${hostname})`;
}

/** Resolves once `server` has answered what it was asked, or `timeoutMs` has passed. */
async function closeHttp(server, timeoutMs) {
  const closed = new Promise((done) => server.close(done));
  // Again and again: one that is answered now would else be kept for its next request, and the port closed meanwhile.
  server.closeIdleConnections();
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_ROUND_MS);
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}

async function startServer(options = {}) {
  const checked = serverOptions(options);
  // Until it serves, a signal ends the process at once, as if nobody listened; process 1 of a container would ignore it.
  let stop = async (code) => code;
  const unlisten = onSignal((code) => stop(code));
  try {
    const running = await start(checked);
    stop = () => withDeadline(running.close(), checked.shutdownTimeoutMs);
    const close = () => {
      unlisten();
      return running.close();
    };
    announce(running, checked);
    return { ...running, close };
  } catch (error) {
    unlisten();
    throw error;
  }
}

async function start(checked) {
  const { dir, dev, hostname, shutdownTimeoutMs } = checked;
  const next = loadNext(dir);
  if (!dev) useStandaloneConfig(dir);
  let handlersRegistered;
  let registered = new Promise((resolve) => (handlersRegistered = resolve));
  let edited;
  const hub = createHub(checked.hub, (request) => registered ?? edited?.refresh(request));
  // Next adds its own 'upgrade' listener to what it takes for the HTTP server; on the real one it would answer the
  // hub's upgrades too. See NextUpgrades.
  const decoy = new EventEmitter();
  const server = http.createServer();
  if (checked.keepAliveTimeoutMs !== undefined) server.keepAliveTimeout = checked.keepAliveTimeoutMs;
  const warning = hostnameWarning(hostname);
  if (warning) log('warn', warning);
  let app;
  try {
    const port = typeof checked.port === 'number' ? checked.port : undefined;
    app = next({ ...checked.next, dir, dev, hostname, port, httpServer: decoy });
    await app.prepare();
    await hub.prepare();
    const config = await nextConfig(app);
    const serve = app.getRequestHandler();
    server.on('request', (request, response) => {
      if (!hub.request(request, response)) serve(request, response);
    });
    const upgrades = new NextUpgrades(app, decoy, server);
    hub.serve(server, (...upgrade) => upgrades.handle(...upgrade), config.basePath);
    await listen(server, checked);
    await instrumentationRegistered(app, dev, urlOf(server, hostname));
    handlersRegistered();
    registered = undefined;
    hub.started();
    const at = server.address();
    if (dev && typeof at === 'string') {
      log('warn', 'edited handlers take effect only where PORT is a number');
    } else if (dev) {
      edited = new EditedHandlers(dir, urlOf(server, hostname), config);
    }
    // As long as this start has taken the next one will take.
    const awayMs = Math.min(Math.ceil(performance.now()), MAX_AWAY_MS);
    let closing;
    const close = () => (closing ??= shutDown({ hub, server, app, upgrades, shutdownTimeoutMs, awayMs }));
    return { hub, server, url: urlOf(server, hostname), port: at.port ?? at, close };
  } catch (error) {
    server.close();
    server.closeAllConnections();
    await Promise.allSettled([hub.close({ timeoutMs: 0 }), app?.close?.()]);
    throw explainIncompleteNext(error, dir);
  }
}

function announce({ hub, server, url }, { dev, hostname, print }) {
  const environment = dev ? 'development' : 'production';
  print(banner({ url, address: addressOf(server, hostname), paths: hub.paths, environment }));
  // Whoever started this process may be gone by now, which is no reason not to serve.
  if (process.connected) process.send('ready', () => {});
}

/** Whether another process over the same Redis takes those who come back before this one is there again. */
function isOneOfSeveral(hub) {
  const processes = hub.metrics().find(({ name }) => name === 'hub_redis_processes');
  return processes !== undefined && processes.values[0].value > 1;
}

async function shutDown({ hub, server, app, upgrades, shutdownTimeoutMs, awayMs }) {
  const httpMs = Math.ceil(shutdownTimeoutMs * HTTP_SHARE);
  // Under Node's cluster the next process listens already, and is to have every new connection from here on. Otherwise
  // nobody would serve pages until the next one does, so this one goes on while it says goodbye.
  const isReplaced = cluster.isWorker;
  const http = isReplaced ? closeHttp(server, shutdownTimeoutMs - httpMs) : undefined;
  const timeoutMs = Math.max(0, shutdownTimeoutMs - 2 * httpMs);
  await hub.close({ timeoutMs, awayMs: isReplaced || isOneOfSeveral(hub) ? 0 : awayMs });
  upgrades.destroy();
  // Refuses new connections from here on, and lets those with a request go on.
  await (http ?? closeHttp(server, httpMs));
  await app.close();
}

/** The exit code: 0 also where the deadline passed, because what was left was told to end. */
async function withDeadline(closed, timeoutMs) {
  let timer;
  const deadline = new Promise((done) => {
    timer = setTimeout(() => {
      log('warn', `shutdown was cut off after ${timeoutMs} ms`);
      done();
    }, timeoutMs);
  });
  await Promise.race([closed, deadline]);
  clearTimeout(timer);
  return 0;
}

module.exports = { startServer };
