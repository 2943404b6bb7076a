// Short programs in processes of their own: for how a process ends, and what it leaves.
import { childEnvironment, Service } from './processes.mjs';
import { ROOT } from './hub-server.mjs';

/** Starts an ES module given as text. It can import the package by its name. */
export function startProgram(label, source, { nodeArgs = [], env, args = [], ipc = false } = {}) {
  const all = [...nodeArgs, '--input-type=module', '--eval', source, ...args];
  return new Service(label, process.execPath, all, { cwd: ROOT, env: childEnvironment(env), ipc });
}

/** Runs it to its end: `{ code, signal, output }`. One that does not end is killed, and an error. */
export async function runProgram(label, source, { timeoutMs = 30_000, ...options } = {}) {
  const program = startProgram(label, source, options);
  return ending(program, { timeoutMs });
}

/** Waits for a program to end by itself. */
export async function ending(program, { timeoutMs = 30_000 } = {}) {
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    program.child.kill('SIGKILL');
  }, timeoutMs);
  const { code, signal } = await program.exit;
  clearTimeout(deadline);
  if (late) throw new Error(`${program.label} had not ended by itself after ${timeoutMs} ms:\n${program.output}`);
  return { code, signal, output: program.output };
}
