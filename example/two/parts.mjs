// The programs that `npm run start:two` consists of: found, started, listened to and ended.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** The path of the first of these commands that is installed; servers live in sbin, which is often missing from PATH. */
export function find(...commands) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  const files = commands.flatMap((command) => folders.filter(Boolean).map((folder) => path.join(folder, command)));
  return files.find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile()) ?? null;
}

/** One running program. What it says on stderr is shown with its name. */
export class Part {
  constructor(name, command, args, { ipc = false, ...options } = {}) {
    this.name = name;
    // In a group of its own: Ctrl-C is for the one who started it, and comes to the parts in their order.
    const stdio = ['ignore', 'ignore', 'pipe', ...(ipc ? ['ipc'] : [])];
    this.child = spawn(command, args, { ...options, stdio, detached: true });
    this.ended = once(this.child, 'exit').then(([code, signal]) => signal ?? `exit code ${code}`);
    readline.createInterface(this.child.stderr).on('line', (line) => console.error(`[${name}] ${line}`));
  }

  get isAlive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Rejects where it ends before `something` has resolved. */
  until(something) {
    const tooSoon = this.ended.then((how) => Promise.reject(new Error(`${this.name} has ended: ${how}`)));
    tooSoon.catch(() => {});
    return Promise.race([something, tooSoon]);
  }

  /** Resolves when a server says that it serves; for one with `ipc`. */
  saysReady() {
    return this.until(once(this.child, 'message'));
  }

  /** Resolves when it listens there: a port, or the path of a socket. */
  listensOn(where) {
    return this.until(connected(where, () => this.isAlive));
  }

  /** Asks it to end, and sees to it after `timeoutMs`. */
  async end(timeoutMs = 10_000) {
    if (!this.isAlive) return;
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    await this.ended;
    clearTimeout(late);
  }
}

async function connected(where, goOn) {
  while (goOn()) {
    const socket = net.connect(typeof where === 'string' ? { path: where } : { port: where, host: '127.0.0.1' });
    const isThere = await new Promise((say) => socket.once('connect', () => say(true)).once('error', () => say(false)));
    socket.destroy();
    if (isThere) return;
    await delay(50);
  }
}
