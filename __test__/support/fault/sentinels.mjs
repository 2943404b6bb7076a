// A Redis and its replica, watched by three sentinels: when the primary is away for a second they have the replica take its place.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePorts } from '../ports.mjs';
import { atExit, childEnvironment, Service, until } from '../processes.mjs';
import { redisProgram } from '../redis.mjs';
import { RedisClient } from '../redis-client.mjs';
import { RedisServer, synced } from './redis-server.mjs';

const NAME = 'primary';
const COUNT = 3;

/** After how long without an answer the primary is away. */
export const DOWN_AFTER_MS = 1000;

class Sentinel {
  static async start(primary) {
    const sentinel = new Sentinel();
    [sentinel.port] = await freePorts(1);
    sentinel.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-sentinel-'));
    sentinel.calledOff = atExit(() => fs.rmSync(sentinel.folder, { recursive: true, force: true }));
    const lines = [
      `port ${sentinel.port}`,
      'bind 127.0.0.1',
      `dir ${sentinel.folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${primary} 2`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      // A second fail-over begins after twice that at the earliest.
      `sentinel failover-timeout ${NAME} 2000`,
    ];
    const file = path.join(sentinel.folder, 'sentinel.conf');
    fs.writeFileSync(file, `${lines.join('\n')}\n`);
    const env = childEnvironment();
    const args = [file, '--sentinel'];
    sentinel.service = new Service('a sentinel', await redisProgram(), args, { cwd: sentinel.folder, env });
    await sentinel.service.printed(/\+monitor master/);
    sentinel.commands = await RedisClient.connect(sentinel.port);
    return sentinel;
  }

  /** What it says of the primary. */
  async #primary() {
    const words = (await this.commands.call('SENTINEL', 'MASTER', NAME)).map(String);
    return Object.fromEntries(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1]]] : [])));
  }

  /** The port of the primary, once it knows the others and a replica that follows; else 0. */
  async knows() {
    const known = await this.#primary();
    if (known.flags !== 'master' || known['num-other-sentinels'] !== String(COUNT - 1)) return 0;
    const replicas = (await this.commands.call('SENTINEL', 'REPLICAS', NAME)).map((words) => words.map(String));
    const follows = (words) => words[words.indexOf('master-link-status') + 1] === 'ok';
    return replicas.some(follows) ? Number(known.port) : 0;
  }

  async end() {
    this.commands?.end();
    await this.service.stop('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
    this.calledOff();
  }
}

export class SentinelPair {
  links = [];

  static async start() {
    const pair = new SentinelPair();
    [pair.primary, pair.replica] = [await RedisServer.make(), await RedisServer.make()];
    await pair.primary.start();
    await pair.replica.start({ replicaOf: pair.primary.port });
    await synced(pair.primary, pair.replica);
    pair.sentinels = await Promise.all(Array.from({ length: COUNT }, () => Sentinel.start(pair.primary.port)));
    await pair.whole();
    return pair;
  }

  get servers() {
    return [this.primary, this.replica];
  }

  /** The option `redis` of a process. */
  address() {
    return { sentinels: this.sentinels.map(({ port }) => `127.0.0.1:${port}`), name: NAME };
  }

  /** Waits until the replica has what the primary has now. */
  async synced() {
    await synced(this.primary, this.replica);
  }

  /** Waits until all sentinels name one primary, and its replica has everything. */
  async whole() {
    const agreed = async () => {
      const [port, ...others] = await Promise.all(this.sentinels.map((sentinel) => sentinel.knows()));
      return others.every((other) => other === port) && port;
    };
    const port = await until('the sentinels to agree', agreed, { timeoutMs: 40_000 });
    if (this.replica.port === port) this.#swap();
    await this.synced();
  }

  #swap() {
    [this.primary, this.replica] = [this.replica, this.primary];
  }

  /** Waits until the replica has taken the primary's place. */
  async promoted() {
    const isPrimary = async () => /^role:master/m.test(await this.replica.info('replication'));
    await until('the replica to be promoted', isPrimary, { timeoutMs: 40_000 });
    this.#swap();
  }

  /** From now on the replica hears nothing: it is told to show a password that nobody wants. */
  async fallBehind() {
    await this.replica.call('CONFIG', 'SET', 'masterauth', 'wrong');
    await this.primary.call('CLIENT', 'KILL', 'TYPE', 'replica');
  }

  /** The old primary comes back, and follows. */
  async comeBack() {
    await this.replica.start({ replicaOf: this.primary.port });
    await this.primary.call('CONFIG', 'SET', 'masterauth', '');
    await this.whole();
  }

  async failOver() {
    await this.sentinels[0].commands.call('SENTINEL', 'FAILOVER', NAME);
    await this.promoted();
    await this.whole();
  }

  async end() {
    for (const sentinel of this.sentinels ?? []) await sentinel.end();
    await this.primary?.end();
    await this.replica?.end();
  }
}
