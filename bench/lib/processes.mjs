// The processes of a run: a server under test, and the load generator beside it.
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import os from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bare, bareEcho, bench, load, scratch } from './paths.mjs';

const node = (file) => [process.execPath, '--expose-gc', join(bench, file)];

const two = (file) => [...node('servers/several.mjs'), join(bench, file), '2'];

const SERVERS = {
  hub: { command: node(process.env.BENCH_HUB ?? 'servers/hub.mjs') },
  'hub-agents': { command: node('servers/hub-agents.mjs') },
  'hub-watchers': { command: node('servers/hub-watchers.mjs') },
  'hub-watchers-each': { command: node('servers/hub-watchers.mjs'), env: { WATCHERS: 'each' } },
  'hub-watchers-burst': { command: node('servers/hub-watchers.mjs'), env: { BURST: '8' } },
  'hub-watchers-burst-each': { command: node('servers/hub-watchers.mjs'), env: { BURST: '8', WATCHERS: 'each' } },
  hubUnlimited: { command: node(process.env.BENCH_HUB ?? 'servers/hub.mjs'), env: { HUB_LIMITS: 'off' } },
  hubScraped: { command: node(process.env.BENCH_HUB ?? 'servers/hub.mjs'), env: { SCRAPE: 'yes' } },
  next: { command: node('servers/next.mjs'), env: { NODE_ENV: 'production' } },
  'hub-echo': { command: node('servers/hub-echo.mjs') },
  ws: { command: node('control/ws.mjs') },
  bareUpgrade: { command: node('control/upgrade.mjs') },
  'ws-echo': { command: node('control/ws-echo.mjs') },
  authority: { command: node('control/steps.mjs') },
  'authority-stored': { command: node('control/steps.mjs'), env: { STEPS_LOG: scratch('steps.log') } },
  'hub-steps': { command: node('servers/hub-steps.mjs'), env: { APPLY: 'yes' } },
  'hub-steps-stored': { command: node('servers/hub-steps.mjs'), env: { APPLY: 'yes', STORE: scratch('steps.redb') } },
  'hub-typists': { command: node('servers/hub-steps.mjs'), env: { STORE: scratch('steps.redb') } },
  'hub-two': { command: two('servers/hub.mjs'), several: true },
  'socketio-streams': {
    command: two('control/socketio.mjs'),
    env: { ADAPTER: 'streams' },
    dialect: 'socketio',
    several: true,
  },
  'socketio-pubsub': {
    command: two('control/socketio.mjs'),
    env: { ADAPTER: 'pubsub' },
    dialect: 'socketio',
    several: true,
  },
  socketio: { command: node('control/socketio.mjs'), dialect: 'socketio' },
  bareEach: { command: [bare, 'each'] },
  bareBatch: { command: [bare, 'batch'] },
  bareEchoOne: { command: [bareEcho, 'one'] },
  bareEchoTwo: { command: [bareEcho, 'two'] },
};

const START_TIMEOUT_MS = 30_000;
/** Longer than any single measurement. */
const LOAD_TIMEOUT_MS = 180_000;

/**
 * Where figures are of processor time, the load generator has the last processor and the server the others, so that
 * neither is moved about. With one processor there is nothing to divide.
 */
const lastProcessor = os.availableParallelism() - 1;

/**
 * Starts a server in a fresh process, hands it to `use`, and stops it.
 *
 * @param pinned keeps server and load generator on processors of their own
 * @param flags for Node, where the server is one of Node's
 */
export async function withServer(name, { pinned = false, flags = [] }, use) {
  const { command: plain, env, dialect = 'fabric', several = false } = SERVERS[name];
  const command = plain[0] === process.execPath ? plain.toSpliced(1, 0, ...flags) : plain;
  const pins = pinned && lastProcessor > 0;
  const [file, ...args] = pins ? ['taskset', '-c', `0-${lastProcessor - 1}`, ...command] : command;
  rmSync(scratch(''), { recursive: true, force: true });
  mkdirSync(scratch(''), { recursive: true });
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? code}`));
  });
  try {
    const server = { pid: child.pid, dialect, ...(await listening(child, ended)) };
    // taskset replaces itself by the server, so the process id is the server's.
    const load = (run) => measure({ server, pin: pins ? lastProcessor : null, run });
    return await use(Object.assign(load, { server }), server.pid);
  } finally {
    // Of several only the first of all can end the others.
    child.kill(several ? 'SIGTERM' : 'SIGKILL');
    await ended;
  }
}

/** Where it listens, and where its other processes do. */
async function listening(child, ended) {
  let timer;
  const outcome = await Promise.race([
    new Promise((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const found = /listening on (\S+:\d+)(?: (\{.*\}))?/.exec(line);
        if (found) resolve({ host: found[1], ...(found[2] && JSON.parse(found[2])) });
      });
    }),
    ended.then((reason) => ({ reason })),
    new Promise((resolve) => {
      timer = setTimeout(resolve, START_TIMEOUT_MS, { reason: 'it does not listen' });
    }),
  ]);
  clearTimeout(timer);
  if (outcome.host) return outcome;
  throw new Error(`the server did not start: ${outcome.reason}`);
}

async function measure(plan) {
  try {
    const { stdout } = await promisify(execFile)(load, [JSON.stringify(plan)], { timeout: LOAD_TIMEOUT_MS });
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(error.stderr?.trim() || error.message);
  }
}
