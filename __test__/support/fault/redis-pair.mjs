// A Redis and its replica, which can be killed, lose what they were told, and take each other's place.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensureSystemPackages } from '../../../scripts/system.mjs';
import { freePorts } from '../ports.mjs';
import { atExit, childEnvironment, Service, until } from '../processes.mjs';
import { RedisClient } from '../redis-client.mjs';
import { SilentProxy } from '../silent-proxy.mjs';

/** One server, on the same port and over the same folder each time it is started. */
class RedisServer {
  static async make() {
    const server = new RedisServer();
    [server.port] = await freePorts(1);
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-fault-'));
    server.calledOff = atExit(() => fs.rmSync(server.folder, { recursive: true, force: true }));
    return server;
  }

  async start({ replicaOf } = {}) {
    const { redis: program } = await ensureSystemPackages(['redis']);
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
    args.push('--appendonly', 'yes', '--repl-diskless-sync-delay', '0', '--enable-debug-command', 'local');
    if (replicaOf) args.push('--replicaof', '127.0.0.1', String(replicaOf));
    this.service = new Service('redis-server', program, args, { cwd: this.folder, env: childEnvironment() });
    await this.service.printed(/Ready to accept connections/);
    this.commands = await RedisClient.connect(this.port);
  }

  /** Kills it; `forget` takes its append-only file away, too. */
  async kill({ forget = false } = {}) {
    await this.service.stop('SIGKILL');
    if (forget) fs.rmSync(path.join(this.folder, 'appendonlydir'), { recursive: true, force: true });
  }

  async end() {
    this.commands?.end();
    await this.service?.stop('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
    this.calledOff();
  }
}

export class RedisPair {
  static async start() {
    const pair = new RedisPair();
    [pair.primary, pair.replica] = [await RedisServer.make(), await RedisServer.make()];
    await pair.primary.start();
    pair.replication = await SilentProxy.start(pair.primary.port);
    await pair.#follow();
    return pair;
  }

  /** Starts the replica anew, and waits until it has everything. */
  async #follow() {
    this.replication.silence();
    this.replication.target = this.primary.port;
    await this.replica.start({ replicaOf: this.replication.port });
    await this.synced();
  }

  /** Waits until the replica has what the primary has now. */
  async synced() {
    await until('the replica to have everything', async () => {
      const info = String(await this.replica.commands.call('INFO', 'replication'));
      return /master_link_status:up/.test(info) && Number(await this.primary.commands.call('WAIT', 1, 500)) === 1;
    });
  }

  /** From now on the replica hears nothing. */
  fallBehind() {
    this.replication.silence({ up: true, down: true });
  }

  /** The replica takes the primary's place with what it has, and another replica comes. `moved` is called in between. */
  async failOver(moved) {
    const old = this.primary;
    await this.replica.commands.call('REPLICAOF', 'NO', 'ONE');
    [this.primary, this.replica] = [this.replica, old];
    await moved();
    await old.kill({ forget: true });
    this.replication.cut();
    await this.#follow();
  }

  async killPrimary({ forget, forMs, wait }) {
    await this.primary.kill({ forget });
    await wait(forMs);
    await this.primary.start();
  }

  async end() {
    this.replication?.close();
    await this.primary?.end();
    await this.replica?.end();
  }
}
