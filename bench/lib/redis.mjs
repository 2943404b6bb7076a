// A Redis for a measurement, which keeps nothing on the disk unless it is asked to.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensureSystemPackages } from '../../scripts/system.mjs';

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts one: `{ url, port, child, restart, stop }`. `restart` kills it and resolves when the next one takes connections. */
export async function startRedis({ args = [] } = {}) {
  const { redis: program } = await ensureSystemPackages(['redis']);
  const folder = mkdtempSync(join(tmpdir(), 'hub-bench-redis-'));
  const port = await freePort();
  const redis = { url: `redis://127.0.0.1:${port}`, port, child: null };
  const start = async () => {
    const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
    redis.child = spawn(program, [...where, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: redis.child.stdout });
    await new Promise((resolve, reject) => {
      lines.on('line', (line) => line.includes('Ready to accept connections') && resolve());
      redis.child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
    });
  };
  const kill = async () => {
    const ended = once(redis.child, 'exit');
    redis.child.kill('SIGKILL');
    await ended;
  };
  redis.restart = async () => {
    await kill();
    await start();
  };
  redis.stop = async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  };
  await start();
  return redis;
}
