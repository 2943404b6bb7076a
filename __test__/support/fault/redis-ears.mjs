// Hears everything that the servers of the fault test publish, and reads what stands there whenever it may have missed something.
import { setTimeout as delay } from 'node:timers/promises';
import { RedisClient } from '../redis-client.mjs';

export class RedisEars {
  #ears;

  /** @param log what everything goes to; see redis-log.mjs */
  constructor(servers, log) {
    this.#ears = servers.map((server) => listen(server, log));
  }

  async end() {
    for (const ear of this.#ears) {
      ear.isOn = false;
      ear.stop?.();
    }
    for (const ear of this.#ears) await ear.over;
  }
}

function listen(server, log) {
  const ear = { isOn: true };
  const hear = async () => {
    const redis = await RedisClient.connect(server.port, { heard: (...said) => log.heard(...said) });
    try {
      await redis.psubscribe('hub:{*}:said');
      const reader = await RedisClient.connect(server.port);
      await log.read(reader);
      reader.end();
      ear.stop = () => redis.end();
      await redis.closed;
    } finally {
      redis.end();
    }
  };
  const goOn = async () => {
    while (ear.isOn) {
      await hear().catch(() => {});
      await delay(10);
    }
  };
  ear.over = goOn();
  return ear;
}
