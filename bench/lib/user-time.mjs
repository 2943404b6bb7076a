// Processor time that a process spends in user space, sampled by perf.
//
// The kernel splits a process's time into user and system by what it meets at its clock ticks, 100 to 1,000 a second:
// of a server that is busy a tenth of the time, and in user space a tenth of that, a tick meets next to nothing. perf
// samples 10,000 times a second of the process's own time.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const FREQUENCY = '10000';

/**
 * @param pid the process
 * @param after milliseconds before the window begins
 * @param length of the window, in milliseconds
 * @returns nanoseconds in user space a second; `null` where perf is not installed or not allowed
 */
export async function userTime(pid, { after, length }) {
  await sleep(after);
  const directory = mkdtempSync(join(tmpdir(), 'hub-perf-'));
  try {
    const file = join(directory, 'data');
    const seconds = length / 1000;
    const what = ['-q', '-e', 'cpu-clock:u', '-F', FREQUENCY, '-p', String(pid), '-o', file];
    await run('perf', ['record', ...what, '--', 'sleep', String(seconds)]);
    const { stdout } = await run('perf', ['report', '--stdio', '--sort', 'comm', '-i', file]);
    const count = /Event count \(approx\.\): (\d+)/.exec(stdout);
    return count ? Number(count[1]) / seconds : null;
  } catch {
    return null;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
