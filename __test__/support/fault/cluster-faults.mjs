// What happens to processes and their Redis in the fault test. Each ends when what was broken is whole again. `loses` says what
// Redis may have lost by it: the `tail` of documents, or all its `memory`.
import { setTimeout as delay } from 'node:timers/promises';
import { between, pick } from './seeded.mjs';

async function silence({ redis }, random, directions) {
  const link = pick(random, redis.links);
  link.silence(directions);
  await delay(between(random, 500, 4000));
  link.silence();
}

const killRedis = (stage, random, forget) =>
  stage.redis.killPrimary({ forget, forMs: between(random, 0, 3000), wait: delay });

/** A process dies, and another comes in its place. */
export const killProcess = (stage, random) =>
  stage.restart(Math.floor(random() * stage.hubs.length), between(random, 0, 1500));

/** All connections of a kind are ended by the server. */
export const endConnections = ({ redis }, random) =>
  redis.primary.call('CLIENT', 'KILL', 'TYPE', pick(random, ['normal', 'pubsub']), 'SKIPME', 'yes');

export async function pauseClients({ redis }, forMs) {
  await redis.primary.call('CLIENT', 'PAUSE', forMs, 'ALL');
  await delay(forMs);
}

export const FAULTS = {
  'process killed': { deed: killProcess },

  /** Nothing that Redis has answered is lost with that. */
  'Redis killed': { deed: (stage, random) => killRedis(stage, random, false) },

  'Redis killed without its file': { loses: 'memory', deed: (stage, random) => killRedis(stage, random, true) },

  'CLIENT KILL': { deed: endConnections },

  'CLIENT PAUSE': { deed: (stage, random) => pauseClients(stage, between(random, 100, 3000)) },

  'connections to Redis reset': { deed: async ({ redis }, random) => pick(random, redis.links).cut() },

  'silence to Redis': { deed: (stage, random) => silence(stage, random, { up: true }) },

  'silence from Redis': { deed: (stage, random) => silence(stage, random, { down: true }) },

  'silence both ways': { deed: (stage, random) => silence(stage, random, { up: true, down: true }) },

  /** The replica has everything of the documents that are held, and lacks the end of others. */
  'fail-over to a replica that is behind': {
    loses: 'tail',
    deed: async (stage, random) => {
      await stage.hold(random);
      stage.redis.fallBehind();
      await delay(between(random, 200, 1000));
      // Some processes hear of it later than others, and write where nobody will look.
      await stage.redis.failOver(() => delay(between(random, 0, 400)));
      stage.release();
    },
  },
};
