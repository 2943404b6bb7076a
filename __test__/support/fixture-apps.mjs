// Copies of the fixture apps in a temporary directory, with Next from npm and the hub as an app would install it.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Service, atExit, childEnvironment, npm, progress, run } from './processes.mjs';

const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
const fixturesRoot = path.join(projectRoot, '__test__', 'fixtures');
// Outside the checkout: Turbopack takes the outermost directory with a lock file for the root of an app.
const cacheRoot = path.join(os.tmpdir(), `captify-hub-fixtures-${os.userInfo().username}`);

/** Every file below `directory`, as sorted relative paths; links are not followed. */
export function filesBelow(directory) {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/** A short name for the content of files and directories. */
function fingerprint(paths) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const each of paths) {
    const isDirectory = fs.statSync(each).isDirectory();
    for (const file of isDirectory ? filesBelow(each) : ['']) {
      hash.update(`\0${file}\0`).update(fs.readFileSync(path.join(each, file)));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** Copies a tree by hard links, so that hundreds of megabytes of packages cost no space and next to no time. */
function linkTree(from, to) {
  fs.mkdirSync(to, { recursive: true });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(source), target);
    else {
      try {
        fs.linkSync(source, target);
      } catch {
        fs.copyFileSync(source, target);
      }
    }
  }
}

/** Fills `directory` once, however many processes ask at the same time. */
export async function filledOnce(directory, fill) {
  if (fs.existsSync(directory)) return directory;
  const partial = `${directory}.partial-${process.pid}`;
  try {
    fs.mkdirSync(partial, { recursive: true });
    await fill(partial);
    fs.renameSync(partial, directory);
  } catch (error) {
    if (!fs.existsSync(directory)) throw error;
  } finally {
    fs.rmSync(partial, { recursive: true, force: true });
  }
  return directory;
}

/** Removes what earlier runs kept under `prefix`, but for `kept`. */
function forgetOthers(prefix, kept) {
  for (const name of fs.readdirSync(cacheRoot)) {
    const isOurs = name.startsWith(prefix) && !name.includes('.partial-') && name !== path.basename(kept);
    if (isOurs) fs.rmSync(path.join(cacheRoot, name), { recursive: true, force: true });
  }
}

/** `npm ci` of a fixture, kept for the next run as long as its lock file stays as it is. */
async function installedPackages(fixture) {
  const source = path.join(fixturesRoot, fixture);
  const files = ['package.json', 'package-lock.json'];
  const hash = fingerprint(files.map((name) => path.join(source, name)));
  const directory = path.join(cacheRoot, `packages-${fixture}-${hash}`);
  fs.mkdirSync(cacheRoot, { recursive: true });
  forgetOthers(`packages-${fixture}-`, directory);
  return filledOnce(directory, async (partial) => {
    for (const name of files) fs.copyFileSync(path.join(source, name), path.join(partial, name));
    await run(`npm ci for ${fixture}`, npm, ['ci', '--ignore-scripts', '--include=dev', '--include=optional'], {
      cwd: partial,
    });
  });
}

let packed;

/**
 * The tarball of this checkout, made once a process; `HUB_TARBALL` names another to test in its place.
 *
 * @returns its absolute path
 */
export function hubTarball() {
  packed ??= (async () => {
    if (process.env.HUB_TARBALL) return path.resolve(process.env.HUB_TARBALL);
    const prebuilds = path.join(projectRoot, 'prebuilds');
    if (!fs.existsSync(prebuilds) || !filesBelow(prebuilds).some((file) => file.endsWith('.node'))) {
      throw new Error(`no native binary below ${prebuilds}; build it first: npm run build`);
    }
    const directory = temporaryDirectory('tarball');
    const args = ['pack', '--ignore-scripts', '--pack-destination', directory];
    await run('npm pack of the hub', npm, args, { cwd: projectRoot });
    const name = fs.readdirSync(directory).find((file) => file.endsWith('.tgz'));
    return path.join(directory, name);
  })();
  return packed;
}

/** A new directory, removed when the process exits. Its path holds no symbolic link, which Turbopack would mind. */
export function temporaryDirectory(name) {
  const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), `captify-hub-${name}-`)));
  atExit(() => fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** Puts the app's own files into `directory`: what both fixtures share, then what one of them has for itself. */
function copySources(fixture, directory) {
  for (const part of ['common', fixture]) {
    fs.cpSync(path.join(fixturesRoot, part), directory, { recursive: true });
  }
}

/**
 * Makes a fixture app with the hub installed.
 *
 * @param fixture `'next15'` or `'next16'`
 * @param install `'tarball'`: a packed hub. `'directory'`: `npm install ../hub`, which npm makes a symbolic link.
 */
export async function makeApp(fixture, install, parent = temporaryDirectory(`${fixture}-${install}`)) {
  const packages = await installedPackages(fixture);
  const tarball = await hubTarball();
  const directory = path.join(parent, 'app');
  copySources(fixture, directory);
  linkTree(path.join(packages, 'node_modules'), path.join(directory, 'node_modules'));
  let source = tarball;
  if (install === 'directory') {
    const hub = path.join(parent, 'hub');
    fs.mkdirSync(hub);
    await run('unpacking the hub', 'tar', ['-xzf', tarball, '-C', hub, '--strip-components=1'], { quiet: true });
    // A checkout beside the app has a lock file of its own.
    fs.copyFileSync(path.join(projectRoot, 'package-lock.json'), path.join(hub, 'package-lock.json'));
    source = '../hub';
  }
  await run(`npm install of the hub (${install}) in ${fixture}`, npm, ['install', '--ignore-scripts', source], {
    cwd: directory,
  });
  return new FixtureApp(fixture, install, directory);
}

/** A folder with a fixture's own files, its packages, and the packed hub as npm unpacks it, without a peer of its own. */
export async function makeFolder(fixture) {
  const [packages, tarball] = [await installedPackages(fixture), await hubTarball()];
  const directory = temporaryDirectory(fixture);
  fs.cpSync(path.join(fixturesRoot, fixture), directory, {
    recursive: true,
    filter: (source) => path.basename(source) !== 'node_modules',
  });
  linkTree(path.join(packages, 'node_modules'), path.join(directory, 'node_modules'));
  const hub = path.join(directory, 'node_modules', '@captify-io', 'hub');
  fs.mkdirSync(hub, { recursive: true });
  await run('unpacking the hub', 'tar', ['-xzf', tarball, '-C', hub, '--strip-components=1'], { quiet: true });
  return directory;
}

/** One copy of a fixture on disk. */
export class FixtureApp {
  constructor(fixture, install, directory) {
    this.fixture = fixture;
    this.install = install;
    this.directory = directory;
    this.isLinked = install === 'directory';
  }

  get label() {
    return `${this.fixture}, hub from a ${this.install}`;
  }

  environment(extra) {
    return childEnvironment({
      FIXTURE_ROOT: this.isLinked ? path.dirname(this.directory) : undefined,
      PORT: '0',
      ...extra,
    });
  }

  nextCommand(...args) {
    return [path.join(this.directory, 'node_modules', 'next', 'dist', 'bin', 'next'), ...args];
  }

  /** `next build`, where the native binary can never be loaded. */
  async build(bundler, extra = {}) {
    fs.rmSync(path.join(this.directory, '.next'), { recursive: true, force: true });
    // Next 15 has no --webpack: it is what it does when nothing is said.
    const flags = this.fixture === 'next15' && bundler === 'webpack' ? [] : [`--${bundler}`];
    const nowhere = path.join(this.directory, 'no-such.node');
    return run(`next build with ${bundler} (${this.label})`, process.execPath, this.nextCommand('build', ...flags), {
      cwd: this.directory,
      env: this.environment({ NODE_ENV: 'production', HUB_NATIVE_PATH: nowhere, ...extra }),
    });
  }

  /** `node server.mjs`; resolves when it listens. */
  async start(mode, bundler, extra = {}) {
    const env = this.environment({ NODE_ENV: mode, FIXTURE_BUNDLER: bundler, ...extra });
    return this.#serve(`server.mjs, ${mode}, ${bundler} (${this.label})`, ['server.mjs', '-H', '127.0.0.1'], env, {
      pattern: /\[fixture\] listening on port (\d+)/,
      ipc: true,
    });
  }

  /** `next start`, without the hub. */
  async startWithoutHub() {
    const env = this.environment({ NODE_ENV: 'production', PORT: undefined });
    const args = this.nextCommand('start', '--hostname', '127.0.0.1', '--port', '0');
    return this.#serve(`next start (${this.label})`, args, env, { pattern: /http:\/\/127\.0\.0\.1:(\d+)/ });
  }

  async #serve(label, args, env, { pattern, ipc = false }) {
    progress(`${label}: starting`);
    const service = new Service(label, process.execPath, args, { cwd: this.directory, env, ipc });
    try {
      service.port = Number((await service.printed(pattern, { timeoutMs: 120_000 }))[1]);
    } catch (error) {
      await service.stop('SIGKILL');
      throw error;
    }
    service.http = `http://127.0.0.1:${service.port}`;
    service.ws = `ws://127.0.0.1:${service.port}`;
    progress(`${label}: listens on port ${service.port}`);
    return service;
  }
}
