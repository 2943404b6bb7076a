// PM2: `pm2 start ecosystem.config.cjs`, then `pm2 reload captify` after every deployment.
module.exports = {
  apps: [
    {
      name: 'captify',
      script: 'server.mjs',
      cwd: __dirname,

      // The hub lives inside the process: a second instance would be a second hub, whose clients never hear of
      // those of the first. So it is one instance. In fork mode the port is closed until the next process listens;
      // cluster mode with one instance overlaps on `pm2 reload`, see docs/restarts.md.
      exec_mode: 'fork',
      instances: 1,

      // server.mjs sends `ready` once it can serve pages and sockets; PM2 counts it as started only then.
      wait_ready: true,
      listen_timeout: 30_000,

      // On stop, restart and reload PM2 sends SIGINT and kills what is still alive after this time. The server closes
      // every client with 1012 and is gone within 8 s (`shutdownTimeoutMs`), so it must be more than that.
      kill_timeout: 10_000,

      max_memory_restart: '1G',
      // A server that cannot start is tried again after 0.1 s, then ever later, up to 15 s.
      exp_backoff_restart_delay: 100,

      env: {
        NODE_ENV: 'production',
        PORT: process.env.PORT || 3000,
      },
    },
  ],
};
