// The machine that a run was made on.
import { spawnSync } from 'node:child_process';
import os from 'node:os';

export function describeMachine() {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    arch: os.arch(),
    node: process.version,
    rustc: spawnSync('rustc', ['--version'], { encoding: 'utf8' }).stdout?.split(' ')[1] ?? 'unknown',
  };
}

/** What makes figures of two runs incomparable when it differs. Versions of Node and Rust are shown beside them instead. */
const IDENTITY = ['cpu', 'cores', 'memoryGiB', 'kernel', 'arch'];

/** @returns a line for each property in which two machines differ */
export function machineDifferences(a, b) {
  return IDENTITY.filter((key) => a[key] !== b[key]).map((key) => `${key}: ${a[key]} and ${b[key]}`);
}

export const machineText = (machine) =>
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel} ${machine.arch}, ` +
  `Node ${machine.node}, rustc ${machine.rustc}`;
