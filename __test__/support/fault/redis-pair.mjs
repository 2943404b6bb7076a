// A Redis and its replica, which can be killed, lose what they were told, and take each other's place when the test says so.
import { SilentProxy } from '../silent-proxy.mjs';
import { RedisServer, synced } from './redis-server.mjs';

export class RedisPair {
  /** @param count of the processes, each of which reaches it over a link of its own */
  static async start(count) {
    const pair = new RedisPair();
    [pair.primary, pair.replica] = [await RedisServer.make(), await RedisServer.make()];
    await pair.primary.start();
    pair.replication = await SilentProxy.start(pair.primary.port);
    await pair.#follow();
    pair.links = await Promise.all(Array.from({ length: count }, () => SilentProxy.start(pair.primary.port)));
    return pair;
  }

  get servers() {
    return [this.primary, this.replica];
  }

  /** The option `redis` of the index-th process. */
  address(index) {
    return { url: `redis://127.0.0.1:${this.links[index].port}` };
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
    await synced(this.primary, this.replica);
  }

  /** From now on the replica hears nothing. */
  fallBehind() {
    this.replication.silence({ up: true, down: true });
  }

  /** The replica takes the primary's place with what it has, and another replica comes. `wait` is called for each link that moves. */
  async failOver(wait) {
    const old = this.primary;
    await this.replica.call('REPLICAOF', 'NO', 'ONE');
    [this.primary, this.replica] = [this.replica, old];
    for (const link of this.links) {
      link.target = this.primary.port;
      link.cut();
      await wait();
    }
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
    for (const link of this.links ?? []) link.close();
    this.replication?.close();
    await this.primary?.end();
    await this.replica?.end();
  }
}
