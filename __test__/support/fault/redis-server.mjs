// One Redis or Valkey of the fault test, on the same port and over the same folder each time it is started.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePorts } from '../ports.mjs';
import { atExit, childEnvironment, Service, until } from '../processes.mjs';
import { redisProgram } from '../redis.mjs';
import { RedisClient } from '../redis-client.mjs';

export class RedisServer {
  #commands;

  static async make() {
    const server = new RedisServer();
    [server.port] = await freePorts(1);
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-fault-'));
    server.calledOff = atExit(() => fs.rmSync(server.folder, { recursive: true, force: true }));
    return server;
  }

  async start({ replicaOf } = {}) {
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
    args.push('--appendonly', 'yes', '--repl-diskless-sync-delay', '0', '--enable-debug-command', 'local');
    if (replicaOf) args.push('--replicaof', '127.0.0.1', String(replicaOf));
    const env = childEnvironment();
    this.service = new Service('redis-server', await redisProgram(), args, { cwd: this.folder, env });
    await this.service.printed(/Ready to accept connections/);
    await this.#connect();
  }

  async #connect() {
    this.#commands?.end();
    this.#commands = await RedisClient.connect(this.port);
  }

  /** Sends a command, once more where the connection was closed: a server that changes its role ends all of them. */
  async call(...words) {
    try {
      return await this.#commands.call(...words);
    } catch (error) {
      if (!/connection to Redis/.test(error.message)) throw error;
      await this.#connect();
      return this.#commands.call(...words);
    }
  }

  /** Its name and version. */
  async version() {
    const info = await this.info('server');
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
    return valkey ? `Valkey ${valkey}` : `Redis ${/^redis_version:(\S+)/m.exec(info)[1]}`;
  }

  async info(section) {
    return String(await this.call('INFO', section));
  }

  /** Kills it; `forget` takes its append-only file away, too. */
  async kill({ forget = false } = {}) {
    await this.service.stop('SIGKILL');
    if (forget) fs.rmSync(path.join(this.folder, 'appendonlydir'), { recursive: true, force: true });
  }

  /** Has it do nothing, and answer nothing, until it may go on. */
  pause() {
    this.service.child.kill('SIGSTOP');
  }

  goOn() {
    this.service.child.kill('SIGCONT');
  }

  async end() {
    this.#commands?.end();
    await this.service?.stop('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
    this.calledOff();
  }
}

/** Waits until a replica has what its primary has now. */
export async function synced(primary, replica) {
  await until('the replica to have everything', async () => {
    const info = await replica.info('replication');
    return /master_link_status:up/.test(info) && Number(await primary.call('WAIT', 1, 500)) === 1;
  });
}
