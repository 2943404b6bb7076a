// Child processes of the tests: always with a label, visibly alive, and never left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const TAIL_BYTES = 6000;

export const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** `undefined` until somebody asks for one. */
let lastDeeds;

/**
 * Has `deed` done when this process ends before a test could clean up, also by a signal, as when somebody gives up
 * waiting. It can only be synchronous. The last asked for is done first.
 *
 * @returns a function that calls it off
 */
export function atExit(deed) {
  lastDeeds ??= doAtExit();
  lastDeeds.add(deed);
  return () => lastDeeds.delete(deed);
}

function doAtExit() {
  const deeds = new Set();
  process.once('exit', () => {
    for (const deed of [...deeds].reverse()) {
      try {
        deed();
      } catch (error) {
        progress(`while cleaning up: ${error.message}`);
      }
    }
  });
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  return deeds;
}

/** Writes one progress line. To stderr, which the test runner passes on at once. */
export function progress(text) {
  process.stderr.write(`# ${text}\n`);
}

/**
 * The environment for a child: this process's own, less what would change how Node, npm or Next behave.
 * A value of `undefined` in `extra` removes a variable.
 */
export function childEnvironment(extra = {}) {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' };
  const unwanted = /^(npm_(package|lifecycle|config_(local_prefix|global_prefix|prefix))|HUB_|PM2_|pm_)/;
  for (const name of Object.keys(env)) if (unwanted.test(name)) delete env[name];
  const misleading = ['NODE_ENV', 'NODE_OPTIONS', 'NODE_TEST_CONTEXT', 'TURBOPACK', 'PORT', 'HOSTNAME'];
  for (const name of misleading) delete env[name];
  for (const [name, value] of Object.entries(extra)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}

/**
 * Runs a program to its end, printing a line when it starts, every ten seconds, and when it has ended.
 *
 * @returns what it wrote to stdout and stderr together
 * @throws with the end of that output when the exit code is not 0
 */
export async function run(label, command, args, { cwd, env, timeoutMs = 300_000, quiet = false } = {}) {
  const began = Date.now();
  const seconds = () => ((Date.now() - began) / 1000).toFixed(0);
  const child = spawn(command, args, { cwd, env: env ?? childEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  if (!quiet) progress(`${label} …`);
  const alive = setInterval(() => progress(`${label}: still running after ${seconds()} s`), 10_000);
  const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    const [code, signal] = await once(child, 'close');
    if (code !== 0) {
      throw new Error(`${label} ended with ${signal ?? code} after ${seconds()} s:\n${output.slice(-TAIL_BYTES)}`);
    }
    if (!quiet) progress(`${label}: done in ${seconds()} s`);
    return output;
  } finally {
    clearInterval(alive);
    clearTimeout(deadline);
  }
}

/**
 * Calls `look` until it returns something truthy, which is returned; for what has no event to wait for.
 *
 * @param what is waited for, for the message of the error; a function is asked when it is too late
 */
export async function until(what, look, { timeoutMs = 20_000, everyMs = 50 } = {}) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${typeof what === 'function' ? what() : what}`);
    }
    await delay(everyMs);
  }
}

/**
 * A long-running child, its output, and a stop that never leaves it behind. `lastSignal` is what it gets when this
 * process ends before it.
 */
export class Service {
  constructor(label, command, args, { cwd, env, ipc = false, lastSignal = 'SIGKILL' }) {
    this.label = label;
    this.output = '';
    this.messages = [];
    const stdio = ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])];
    this.child = spawn(command, args, { cwd, env, stdio });
    // 'close' comes after 'exit' with the last of the output, and never while a grandchild holds the pipe.
    const closed = once(this.child, 'close');
    this.exit = once(this.child, 'exit').then(async ([code, signal]) => {
      const cancel = new AbortController();
      await Promise.race([closed, delay(1000, null, { signal: cancel.signal }).catch(() => {})]);
      cancel.abort();
      return { code, signal };
    });
    this.ended = null;
    const calledOff = atExit(() => this.child.kill(lastSignal));
    this.exit.then(
      (ended) => {
        this.ended = ended;
        calledOff();
      },
      () => {},
    );
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.output += text));
    }
    this.child.on('message', (message) => this.messages.push(message));
  }

  get pid() {
    return this.child.pid;
  }

  /** Resolves with the match as soon as the output has `pattern`; rejects when the process ends before. */
  async printed(pattern, { timeoutMs = 60_000 } = {}) {
    return until(
      `${pattern} in the output of ${this.label}`,
      () => {
        const match = pattern.exec(this.output);
        if (!match && this.ended) {
          const how = `ended (${JSON.stringify(this.ended)}) before it printed ${pattern}`;
          throw new Error(`${this.label} ${how}:\n${this.output.slice(-TAIL_BYTES)}`);
        }
        return match;
      },
      { timeoutMs },
    );
  }

  /** Asks over the process's message channel. */
  async ask(question, isAnswer, { timeoutMs = 10_000 } = {}) {
    const from = this.messages.length;
    this.child.send(question);
    return until(`an answer of ${this.label}`, () => this.messages.slice(from).find(isAnswer), { timeoutMs });
  }

  /** Sends `signal` and resolves with `{ code, signal }`; a process that outlives `timeoutMs` is killed and reported. */
  async stop(signal = 'SIGTERM', { timeoutMs = 15_000 } = {}) {
    if (!this.ended) this.child.kill(signal);
    const late = Symbol('late');
    const cancel = new AbortController();
    const ended = await Promise.race([this.exit, delay(timeoutMs, late, { signal: cancel.signal }).catch(() => late)]);
    cancel.abort();
    if (ended !== late) return ended;
    this.child.kill('SIGKILL');
    await this.exit;
    const how = `was still alive ${timeoutMs} ms after ${signal}`;
    throw new Error(`${this.label} ${how}:\n${this.output.slice(-TAIL_BYTES)}`);
  }
}
