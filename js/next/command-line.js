'use strict';

const { isIP } = require('node:net');
const { parseArgs } = require('node:util');

const { invalid } = require('../shared/errors.js');

/** What `next start` and `next dev` take and the server can do as well. Other arguments are the app's own. */
const OPTIONS = {
  port: { type: 'string', short: 'p' },
  hostname: { type: 'string', short: 'H' },
  keepAliveTimeout: { type: 'string' },
  turbopack: { type: 'boolean' },
  webpack: { type: 'boolean' },
};

/** The arguments of `node server.mjs`, where they are those of Next's commands. */
function commandLine(args) {
  const { values } = parseArgs({ args, options: OPTIONS, strict: false, allowPositionals: true });
  for (const name of ['port', 'hostname', 'keepAliveTimeout']) {
    if (values[name] === true) invalid(`argument --${name} needs a value`);
  }
  const { port, hostname, keepAliveTimeout, turbopack, webpack } = values;
  const bundler = turbopack ? { turbopack: true } : webpack ? { webpack: true } : {};
  return {
    port,
    hostname,
    keepAliveTimeoutMs: keepAliveTimeout === undefined ? undefined : Number(keepAliveTimeout),
    next: bundler,
  };
}

/** The environment's value without the blanks that shells and .env files leave around it; `undefined` where none is left. */
function fromEnvironment(name, env = process.env) {
  return env[name]?.trim() || undefined;
}

/** `KEEP_ALIVE_TIMEOUT`, which the server.js of `output: 'standalone'` reads; as there, what is no number of milliseconds is none. */
function keepAliveFromEnvironment(env = process.env) {
  const milliseconds = Number.parseInt(env.KEEP_ALIVE_TIMEOUT, 10);
  return milliseconds >= 0 ? milliseconds : undefined;
}

/**
 * `NODE_ENV` without blanks, for the app as well: `set NODE_ENV=production && node server.mjs` has one at its end on
 * Windows, by which Next and React would take a server in production for one in development.
 */
function nodeEnvironment(env = process.env) {
  const mode = fromEnvironment('NODE_ENV', env);
  if (mode !== undefined && mode !== env.NODE_ENV) env.NODE_ENV = mode;
  return mode;
}

/**
 * One line where somebody seems to rely on `HOSTNAME`. Containers, pods and login shells set it to their own name, so
 * `next start` does not read it and neither does the server; an address it only holds where somebody has meant it.
 */
function hostnameWarning(hostname, env = process.env) {
  const meant = fromEnvironment('HOSTNAME', env);
  if (hostname !== undefined || !isIP(meant ?? '') || ['0.0.0.0', '::'].includes(meant)) return undefined;
  return `HOSTNAME=${meant} is not read, as by next start: it listens on every address. For one, pass -H ${meant} or the option hostname`;
}

module.exports = { commandLine, fromEnvironment, keepAliveFromEnvironment, nodeEnvironment, hostnameWarning };
