// Finds a Python 2.7 and gives it the test suite's packages in a directory of our own.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const requirements = join(import.meta.dirname, 'requirements.txt');

/** The first of `PYTHON27`, `python2.7` and pyenv's versions that answers and has pip. */
export function findPython() {
  const candidates = process.env.PYTHON27 ? [process.env.PYTHON27] : ['python2.7', ...pyenvPythons()];
  const found = candidates.filter((command) => answer(command, ['-c', 'import sys; print(sys.version[:3])']) === '2.7');
  const python = found.find((command) => answer(command, ['-m', 'pip', '--version']) !== undefined);
  if (python) return python;
  throw new Error(
    found.length > 0
      ? `Autobahn needs pip for Python 2.7: ${found[0]} has none; \`${found[0]} -m ensurepip\` brings it.`
      : `Autobahn needs Python 2.7 with pip (tried ${candidates.join(', ')}): set PYTHON27 to one, or \`pyenv install 2.7.18\`.`,
  );
}

function pyenvPythons() {
  const versions = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions');
  try {
    return readdirSync(versions)
      .filter((name) => name.startsWith('2.7'))
      .map((name) => join(versions, name, 'bin/python2.7'));
  } catch {
    return [];
  }
}

function answer(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return status === 0 ? stdout.trim() : undefined;
}

/** Installs the packages below `directory` unless they are there already, and returns where they are. */
export function installPackages(python, directory) {
  const packages = join(directory, 'packages');
  const stamp = join(packages, '.installed');
  // A directory of another Python holds modules compiled for that one.
  const wanted = createHash('sha256').update(`${python}\n`).update(readFileSync(requirements)).digest('hex');
  if (readOrNothing(stamp) === wanted) return packages;

  console.log('autobahn: installing the test suite (once, about 15 s)');
  const fresh = `${packages}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--target',
    fresh,
    '-r',
    requirements,
  ];
  // Python 2.7's pip warns on every run that Python 2.7 has ended; its output is shown only where it fails.
  const { status, stdout, stderr, error } = spawnSync(python, pip, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (status !== 0)
    throw new Error(`pip could not install the test suite: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
  // zope.interface ships a namespace package by a .pth file, which Python 2.7 reads too late for a directory added at run time.
  writeFileSync(join(fresh, 'zope/__init__.py'), '');
  writeFileSync(join(fresh, '.installed'), wanted);
  rmSync(packages, { recursive: true, force: true });
  renameSync(fresh, packages);
  return packages;
}

function readOrNothing(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
