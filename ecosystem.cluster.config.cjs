// PM2 in cluster mode: several processes on one port that are one hub, over Redis. Where one process is enough, take
// ecosystem.config.cjs. docs/operations.md says what is different here, docs/several-processes.md what is set in Redis.
//
//   HUB_REDIS_URL=redis://127.0.0.1:6379 HUB_TOKEN_SECRET="$(cat /etc/captify/token-secret)" \
//     pm2 start ecosystem.cluster.config.cjs
//   pm2 reload captify --parallel 1     after every deployment: one process after the other
//   pm2 scale captify 4                 more processes, or fewer
const { HUB_REDIS_URL, HUB_TOKEN_SECRET } = process.env;

// Without them each process would be a hub of its own, whose clients never hear of those of the others.
if (!HUB_REDIS_URL || !HUB_TOKEN_SECRET) {
  throw new Error('Several processes need HUB_REDIS_URL and HUB_TOKEN_SECRET (32 bytes or more) in the environment');
}

module.exports = {
  apps: [
    {
      name: 'captify',
      script: 'server.mjs',
      cwd: __dirname,

      exec_mode: 'cluster',
      // As many as there are processors to spare; their hub threads share these (option `threads`, processors - 1 each).
      instances: 2,

      // server.mjs sends `ready` once it can serve pages and sockets. On `pm2 reload` the process before it is ended then,
      // or after `listen_timeout`, ready or not: so it is long, and a deployment is no deployment while Redis is away.
      wait_ready: true,
      listen_timeout: 120_000,

      // As in ecosystem.config.cjs: more than the 8 s in which the server is gone (`shutdownTimeoutMs`).
      kill_timeout: 10_000,

      max_memory_restart: '1G',
      exp_backoff_restart_delay: 100,

      // `pm2 save` writes all of it into ~/.pm2/dump.pm2, which is for its owner alone.
      env: {
        NODE_ENV: 'production',
        PORT: process.env.PORT || 3000,
        HUB_REDIS_URL,
        HUB_TOKEN_SECRET,
      },
    },
  ],
};
