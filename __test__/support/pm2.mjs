// A PM2 of its own: its daemon, logs and sockets live in a temporary PM2_HOME, and `kill` ends all of it.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './fixture-apps.mjs';
import { atExit, childEnvironment, run, until } from './processes.mjs';

const command = fileURLToPath(new URL('../../node_modules/pm2/bin/pm2', import.meta.url));

export class Pm2 {
  constructor(environment = {}) {
    this.home = temporaryDirectory('pm2');
    // The daemon is detached, so it would outlive this process; SIGTERM makes it end its own processes first.
    atExit(() => this.pid !== null && isAlive(this.pid) && process.kill(this.pid, 'SIGTERM'));
    this.env = childEnvironment({ PM2_HOME: this.home, PM2_DISCRETE_MODE: 'true', ...environment });
  }

  /** The daemon's process id, or `null` where none runs. */
  get pid() {
    const file = path.join(this.home, 'pm2.pid');
    return fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : null;
  }

  /** A part of a test; what PM2 and its processes logged goes with its failure. */
  part(t, name, prove) {
    return t.test(name, async () => {
      try {
        await prove();
      } catch (error) {
        error.message += `\n${this.daemonLog()}\n${this.processLogs()}`;
        throw error;
      }
    });
  }

  /** Runs `pm2` with `args`; resolves with what it printed. */
  call(...args) {
    const label = `pm2 ${args.map((arg) => path.basename(arg)).join(' ')}`;
    return run(label, process.execPath, [command, ...args], { env: this.env });
  }

  /** PM2's description of the process named `name`. */
  async describe(name) {
    const found = await this.instances(name);
    if (found.length !== 1) throw new Error(`${found.length} processes named ${name}`);
    return found[0];
  }

  /** The same of each process with this name. */
  async instances(name) {
    const args = [command, 'jlist', '--silent'];
    const output = await run('pm2 jlist', process.execPath, args, { env: this.env, quiet: true });
    const list = JSON.parse(output.slice(output.indexOf('[')));
    return list
      .filter((each) => each.name === name)
      .map(({ pid, pm2_env: env }) => ({
        pid,
        status: env.status,
        restarts: env.restart_time,
        mode: env.exec_mode,
        port: env.PORT,
      }));
  }

  /** What PM2's daemon has logged so far: how every process ended, and whether it had to be killed. */
  daemonLog() {
    return fs.readFileSync(path.join(this.home, 'pm2.log'), 'utf8');
  }

  /** Everything its processes printed. */
  processLogs() {
    const directory = path.join(this.home, 'logs');
    const files = fs.existsSync(directory) ? fs.readdirSync(directory) : [];
    return files.map((file) => `${file}:\n${fs.readFileSync(path.join(directory, file), 'utf8')}`).join('\n');
  }

  /** Ends every process and the daemon, and waits for the daemon to be gone. */
  async kill() {
    const { pid } = this;
    if (pid === null) return;
    await this.call('kill');
    await until("the end of PM2's daemon", () => !isAlive(pid));
  }
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
