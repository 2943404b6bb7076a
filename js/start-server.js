'use strict';

const { EventEmitter, once } = require('node:events');
const http = require('node:http');
const { createRequire } = require('node:module');
const { join, resolve } = require('node:path');

const { banner } = require('./banner.js');
const { whole } = require('./checks.js');
const { EditedHandlers } = require('./development.js');
const { HubError, invalid } = require('./errors.js');
const { createHub } = require('./hub.js');
const { NextUpgrades } = require('./next-upgrades.js');
const { registration } = require('./registration.js');
const { onSignal } = require('./signals.js');

const DEFAULT_PORT = 3000;
const DEFAULT_SHUTDOWN_MS = 8000;

/** Connections the kernel may hold until Node accepts them: everybody comes back at once after a restart. */
const BACKLOG = 4096;

/** Part of the shutdown's time that is kept for HTTP and Next after the hub has closed its clients. */
const HTTP_SHARE = 0.25;

function serverOptions(options) {
  if (typeof options !== 'object' || options === null) invalid('options must be an object');
  const { env } = process;
  const given = options.port ?? (env.PORT || DEFAULT_PORT);
  // A path is a unix-domain socket, or a pipe of Windows, as hosts such as Passenger and iisnode give it.
  const isPath = typeof given === 'string' && /[\\/]/.test(given);
  const port = isPath ? given : Number(given);
  if (!isPath && (given === '' || !Number.isInteger(port) || port < 0 || port > 65_535)) {
    const name = options.port === undefined ? 'PORT' : 'option port';
    invalid(`${name} must be a port number or the path of a socket, not ${given}`);
  }
  return {
    dir: resolve(options.dir ?? process.cwd()),
    dev: options.dev ?? env.NODE_ENV !== 'production',
    port,
    hostname: options.hostname ?? (env.HOSTNAME || undefined),
    shutdownTimeoutMs: whole(options.shutdownTimeoutMs ?? DEFAULT_SHUTDOWN_MS, 'shutdownTimeoutMs', { min: 1 }),
    next: options.next ?? {},
    hub: options.hub ?? {},
    print: options.banner === false ? () => {} : (options.banner ?? console.log),
  };
}

/** The app's own Next, wherever this package is installed. */
function loadNext(dir) {
  try {
    const next = createRequire(join(dir, 'package.json'))('next');
    return next.default ?? next;
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new HubError(
      'HUB_NEXT_MISSING',
      `There is no next in ${dir}. Start server.mjs in the app's directory after npm install, or pass the option dir.`,
      { cause: error },
    );
  }
}

async function listen(server, { port, hostname }) {
  const at = typeof port === 'string' ? { path: port } : { port, host: hostname };
  server.listen({ ...at, backlog: BACKLOG });
  try {
    await once(server, 'listening');
  } catch (error) {
    const where = `${hostname ?? 'every address'}, port ${port}`;
    const hint =
      error.code === 'EADDRINUSE'
        ? 'another process listens there'
        : hostname && ['ENOTFOUND', 'EADDRNOTAVAIL', 'EAI_AGAIN'].includes(error.code)
          ? 'this machine has no such address; unset HOSTNAME to listen on all'
          : error.message;
    throw new HubError('HUB_LISTEN_FAILED', `Could not listen on ${where}: ${hint} (${error.code})`, { cause: error });
  }
}

function urlOf(server, hostname) {
  const { port } = server.address();
  if (port === undefined) return `http://unix:${server.address()}`;
  const everywhere = !hostname || hostname === '0.0.0.0' || hostname === '::';
  const host = everywhere ? 'localhost' : hostname.includes(':') ? `[${hostname}]` : hostname;
  return `http://${host}:${port}`;
}

/** Resolves once `server` has answered what it was asked, or `timeoutMs` has passed. */
async function closeHttp(server, timeoutMs) {
  const closed = new Promise((done) => server.close(done));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  await closed;
  clearTimeout(timer);
}

async function startServer(options = {}) {
  const checked = serverOptions(options);
  const { dir, dev, hostname, shutdownTimeoutMs } = checked;
  const next = loadNext(dir);
  let handlersRegistered;
  let registered = new Promise((resolve) => (handlersRegistered = resolve));
  let edited;
  const hub = createHub(checked.hub, (request) => registered ?? edited?.refresh(request));
  // Next adds its own 'upgrade' listener to what it takes for the HTTP server; on the real one it would answer the
  // hub's upgrades too. See NextUpgrades.
  const decoy = new EventEmitter();
  const server = http.createServer();
  let app;
  try {
    const port = typeof checked.port === 'number' ? checked.port : undefined;
    app = next({ ...checked.next, dir, dev, hostname, port, httpServer: decoy });
    await app.prepare();
    hub.prepare();
    const serve = app.getRequestHandler();
    server.on('request', (request, response) => serve(request, response));
    const upgrades = new NextUpgrades(app, decoy);
    server.on('upgrade', (request, socket, head) => {
      if (hub.owns(request.url)) hub.upgrade(request, socket, head);
      else upgrades.handle(request, socket, head);
    });
    await listen(server, checked);
    await registration(app, dev, urlOf(server, hostname));
    handlersRegistered();
    registered = undefined;
    if (dev && port === undefined)
      process.stderr.write('[hub] warn: edited handlers take effect only where PORT is a number\n');
    else if (dev) edited = new EditedHandlers(dir, urlOf(server, hostname));
    return ready({ hub, server, app, upgrades, checked, hostname, shutdownTimeoutMs });
  } catch (error) {
    server.close();
    server.closeAllConnections();
    await Promise.allSettled([hub.close({ timeoutMs: 0 }), app?.close?.()]);
    throw error;
  }
}

function ready({ hub, server, app, upgrades, checked, hostname, shutdownTimeoutMs }) {
  const url = urlOf(server, hostname);
  let closing;
  const close = () => {
    closing ??= shutDown({ hub, server, app, upgrades, shutdownTimeoutMs });
    return closing;
  };
  const unlisten = onSignal(() => withDeadline(close(), shutdownTimeoutMs));
  checked.print(banner({ url, paths: hub.paths, environment: checked.dev ? 'development' : 'production' }));
  process.send?.('ready');
  return {
    hub,
    server,
    url,
    port: server.address().port ?? server.address(),
    close: () => {
      unlisten();
      return close();
    },
  };
}

async function shutDown({ hub, server, app, upgrades, shutdownTimeoutMs }) {
  const httpMs = Math.ceil(shutdownTimeoutMs * HTTP_SHARE);
  // Refuses new connections from here on, and lets those with a request go on.
  const http = closeHttp(server, shutdownTimeoutMs - httpMs);
  await hub.close({ timeoutMs: Math.max(0, shutdownTimeoutMs - 2 * httpMs) });
  upgrades.destroy();
  await http;
  await app.close();
}

/** The exit code: 0 also where the deadline passed, because what was left was told to end. */
async function withDeadline(closed, timeoutMs) {
  let timer;
  const deadline = new Promise((done) => {
    timer = setTimeout(() => {
      process.stderr.write(`[hub] warn: shutdown was cut off after ${timeoutMs} ms\n`);
      done();
    }, timeoutMs);
  });
  await Promise.race([closed, deadline]);
  clearTimeout(timer);
  return 0;
}

module.exports = { startServer };
