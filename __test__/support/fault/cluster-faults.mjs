// What happens to processes and their Redis in the fault test. Each ends when what was broken is whole again.
import { setTimeout as delay } from 'node:timers/promises';
import { between, pick } from './seeded.mjs';

/** How long nobody writes to some documents before a replica that is behind takes over: longer than a retry. */
const HELD_MS = 1000;

async function silence(stage, random, directions) {
  const link = pick(random, stage.links);
  link.silence(directions);
  await delay(between(random, 500, 4000));
  link.silence();
}

const killRedis = (stage, random, forget) =>
  stage.redis.killPrimary({ forget, forMs: between(random, 0, 3000), wait: delay });

export const FAULTS = {
  /** A process dies, and another comes in its place. */
  'process killed': (stage, random) =>
    stage.restart(Math.floor(random() * stage.hubs.length), between(random, 0, 1500)),

  /** Nothing that Redis has answered is lost with that. */
  'Redis killed': (stage, random) => killRedis(stage, random, false),

  'Redis killed without its file': (stage, random) => killRedis(stage, random, true),

  'CLIENT KILL': async (stage, random) => {
    await stage.redis.primary.commands.call(
      'CLIENT',
      'KILL',
      'TYPE',
      pick(random, ['normal', 'pubsub']),
      'SKIPME',
      'yes',
    );
  },

  'CLIENT PAUSE': async (stage, random) => {
    const forMs = between(random, 100, 3000);
    await stage.redis.primary.commands.call('CLIENT', 'PAUSE', forMs, 'ALL');
    await delay(forMs);
  },

  'connections to Redis reset': async (stage, random) => pick(random, stage.links).cut(),

  'silence to Redis': (stage, random) => silence(stage, random, { up: true }),

  'silence from Redis': (stage, random) => silence(stage, random, { down: true }),

  'silence both ways': (stage, random) => silence(stage, random, { up: true, down: true }),

  /** The replica has everything of the documents that are held, and lacks the end of others. */
  'fail-over to a replica that is behind': async (stage, random) => {
    stage.held = new Set(stage.documentIds.filter(() => random() < 0.5));
    await delay(HELD_MS);
    await stage.redis.synced();
    stage.redis.fallBehind();
    await delay(between(random, 200, 1000));
    // Some processes hear of it later than others, and write where nobody will look.
    await stage.redis.failOver(() => stage.moveLinks(() => between(random, 0, 400)));
    stage.held = new Set();
  },
};
