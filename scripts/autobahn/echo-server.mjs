// The hub's own echo server, started for one run of the suite.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Prints `listening on 127.0.0.1:PORT` once it accepts, and echoes on every path. */
const COMMAND = ['cargo', 'run', '--release', '--locked', '--no-default-features', '--example', 'echo'];

const LISTENING = /listening on (\S+:\d+)/;

/** Builds and starts the echo server. Returns its URL, and `stop()`, which ends it. */
export async function startEchoServer(signal) {
  const [command, ...args] = COMMAND;
  console.log(`autobahn: ${COMMAND.join(' ')}`);
  const child = spawn(command, args, { cwd: root, signal, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? code}`));
  });
  const stop = async () => {
    child.kill();
    await exited;
  };
  const address = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = LISTENING.exec(line);
      if (found) resolve(found[1]);
    });
  });
  const first = await Promise.race([
    address,
    exited.then((reason) => new Error(`the echo server did not start: ${reason}`)),
  ]);
  if (first instanceof Error) throw first;
  return { url: `ws://${first}/ws/echo`, stop };
}
