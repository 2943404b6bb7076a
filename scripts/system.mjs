// Programs of the operating system that the checks start: nginx, Chromium, openssl, promtool, Redis, valgrind, perf. Brings what is missing
// by apt-get where this process may (root on Debian or Ubuntu), else says in one line what to install.
//
//   node scripts/system.mjs nginx chromium
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** What each program may be called, the first found wins, and the Debian package that brings it. */
const programs = {
  nginx: { commands: ['nginx'], package: 'nginx' },
  chromium: { commands: ['chromium', 'chromium-browser', 'google-chrome'], package: 'chromium' },
  openssl: { commands: ['openssl'], package: 'openssl' },
  promtool: { commands: ['promtool'], package: 'prometheus' },
  perf: { commands: ['perf'], package: 'linux-perf' },
  redis: { commands: ['redis-server', 'valkey-server'], package: 'redis-server' },
  valgrind: { commands: ['valgrind'], package: 'valgrind' },
  'systemd-analyze': { commands: ['systemd-analyze'], package: 'systemd' },
};

// Servers live in sbin, which is often missing from the PATH of those who are not root.
const extraDirectories = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/opt/homebrew/bin', '/usr/local/bin'];

/** The path of a program, or `null` where it is not installed. */
export function findProgram(name) {
  return fileOf(programs[name].commands);
}

function fileOf(commands) {
  const directories = [...(process.env.PATH ?? '').split(path.delimiter).filter(Boolean), ...extraDirectories];
  for (const command of commands) {
    for (const directory of directories) {
      const file = path.join(directory, command);
      try {
        fs.accessSync(file, fs.constants.X_OK);
        if (fs.statSync(file).isFile()) return file;
      } catch {
        // Not here.
      }
    }
  }
  return null;
}

/** The path of a server that speaks as Redis does: by name (`redis`, `valkey`) or path. Throws where there is none. */
export function serverProgram(name) {
  const file = name.includes(path.sep) ? name : fileOf([`${name}-server`]);
  if (file && fs.existsSync(file)) return file;
  throw new Error(
    `There is no ${name.includes(path.sep) ? name : `${name}-server`} here. Install one, or name its path.`,
  );
}

function isMissing(name) {
  return findProgram(name) === null;
}

function mayInstall() {
  return process.getuid?.() === 0 && fs.existsSync('/usr/bin/apt-get');
}

/** Runs a program, and says every ten seconds that it is still at it. */
function runAloud(command, args, log) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return new Promise((resolve, reject) => {
    const began = Date.now();
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    }
    const alive = setInterval(() => {
      const seconds = Math.round((Date.now() - began) / 1000);
      const last = output
        .trimEnd()
        .split(/[\r\n]/)
        .at(-1);
      log(`${command} ${args[0]}: still running after ${seconds} s: ${last.slice(0, 80)}`);
    }, 10_000);
    child.on('error', (error) => {
      clearInterval(alive);
      reject(error);
    });
    child.on('close', (code) => {
      clearInterval(alive);
      if (code === 0) resolve();
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output.slice(-2000)}`));
    });
  });
}

/**
 * Debian starts a server as soon as its package is installed, on its default port. This file is how one asks it not to
 * (see invoke-rc.d(8)); it is written only for the time of the installation, and never over one that is there.
 *
 * @returns a function that takes it away again
 */
function withholdServices() {
  const policy = '/usr/sbin/policy-rc.d';
  try {
    fs.writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  } catch {
    return () => {};
  }
  return () => fs.rmSync(policy, { force: true });
}

function instruction(names) {
  const packages = names.map((name) => programs[name].package).join(' ');
  return `missing: ${names.join(', ')}. Install them first, on Debian or Ubuntu with: sudo apt-get install ${packages}`;
}

/**
 * Makes sure that the programs `names` are installed.
 *
 * @param {string[]} names of those above, `valgrind`
 * @param {{ log?: (line: string) => void }} [options] where progress goes; nothing is written when nothing is missing
 * @returns {Promise<Record<string, string>>} the path of each
 * @throws an error whose message is one line that says what to install, where it cannot be brought from here
 */
export async function ensureSystemPackages(names, { log = console.log } = {}) {
  for (const name of names) if (!programs[name]) throw new TypeError(`no known program: ${name}`);
  const missing = names.filter(isMissing);
  if (missing.length > 0) {
    if (!mayInstall()) throw new Error(instruction(missing));
    log(`installing ${missing.join(', ')} by apt-get …`);
    const release = withholdServices();
    // A machine that was just started may have another apt-get at work: wait for it rather than fail.
    const patience = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
    try {
      await runAloud('apt-get', ['update', '-q', ...patience], log);
      const packages = missing.map((name) => programs[name].package);
      await runAloud('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...patience, ...packages], log);
    } catch (error) {
      const last = error.message.trimEnd().split('\n').at(-1);
      throw new Error(`${instruction(missing)} (apt-get failed: ${last})`, { cause: error });
    } finally {
      release();
    }
    const still = missing.filter(isMissing);
    if (still.length > 0) throw new Error(instruction(still));
    log(`installed ${missing.join(', ')}`);
  }
  return Object.fromEntries(names.map((name) => [name, findProgram(name)]));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(await ensureSystemPackages(process.argv.slice(2)));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
