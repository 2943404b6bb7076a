// What happens to processes, and to a Redis that sentinels watch. Each ends when what was broken is whole again.
import { setTimeout as delay } from 'node:timers/promises';
import { endConnections, killProcess, pauseClients } from './cluster-faults.mjs';
import { between } from './seeded.mjs';
import { DOWN_AFTER_MS } from './sentinels.mjs';

async function killPrimary({ redis }, { forget = false } = {}) {
  await redis.primary.kill({ forget });
  await redis.promoted();
}

export const SENTINEL_FAULTS = {
  'process killed': { deed: killProcess },

  'CLIENT KILL': { deed: endConnections },

  /** Shorter than what makes sentinels act. */
  'CLIENT PAUSE': { deed: (stage, random) => pauseClients(stage, between(random, 100, DOWN_AFTER_MS / 2)) },

  /** It is back before sentinels act, with everything that it has answered; where it starts slowly, its replica is the primary. */
  'primary started again': {
    loses: 'tail',
    deed: async ({ redis }) => {
      await redis.primary.kill();
      await redis.primary.start();
      await redis.whole();
    },
  },

  /** Its replica has all but what was on the way to it. */
  'primary killed': {
    loses: 'tail',
    deed: async (stage, random) => {
      await killPrimary(stage, { forget: random() < 0.5 });
      await delay(between(random, 0, 2000));
      await stage.redis.comeBack();
    },
  },

  /** It stands still until another has taken its place, and takes itself for the primary when it goes on. */
  'primary paused': {
    loses: 'tail',
    deed: async ({ redis }, random) => {
      redis.primary.pause();
      await redis.promoted();
      await delay(between(random, 0, 2000));
      redis.replica.goOn();
      await redis.whole();
    },
  },

  'fail-over as planned': { loses: 'tail', deed: ({ redis }) => redis.failOver() },

  /** The replica has everything of the documents that are held, and lacks the end of others. */
  'fail-over to a replica that is behind': {
    loses: 'tail',
    deed: async (stage, random) => {
      await stage.hold(random);
      await stage.redis.fallBehind();
      await delay(between(random, 200, 1000));
      await killPrimary(stage);
      await stage.redis.comeBack();
      stage.release();
    },
  },
};
