// The example app for tests and for `npm start`: installed and built when that is stale, and started as a user would.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Service, atExit, childEnvironment } from './processes.mjs';

const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
export const exampleRoot = path.join(projectRoot, 'example');

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const ALIVE_EVERY_MS = 10_000;

/**
 * Installs the example's packages and builds it, each only if its result is older than what it is made from.
 *
 * @param {{ log?: (line: string) => void }} [options] where the lines go that show that it is alive; default stderr
 * @throws with the output of the step that failed
 */
export async function ensureExampleBuilt({ log = (line) => process.stderr.write(`${line}\n`) } = {}) {
  const modules = path.join(exampleRoot, 'node_modules');
  // npm writes this file last, and Next its BUILD_ID: neither is there after a step that was broken off.
  const installed = path.join(modules, '.package-lock.json');
  const built = path.join(exampleRoot, '.next', 'BUILD_ID');
  const manifests = ['package.json', 'package-lock.json'].map((name) => path.join(exampleRoot, name));

  if (newest(manifests) > newest([installed])) await step('Installing the example', ['ci'], log);
  // Route handlers have the hub's JavaScript bundled in: the package is a link, so it counts as a source of the app.
  const sources = [...sourcesOf(exampleRoot), ...sourcesOf(path.join(projectRoot, 'js')), installed];
  if (newest(sources) > newest([built])) {
    fs.rmSync(built, { force: true });
    await step('Building the example', ['run', 'build'], log);
  }
}

/**
 * Starts the built example in production and waits until it serves.
 *
 * @param {{ env?: Record<string, string | undefined>, data?: string }} [options] `PORT` is 0, a free one, unless it is given
 *   here; `data`: the folder of its documents, by default a new one that goes with this process
 * @returns the running server: `url`, `port`, `pid`, `data`, its `output` so far, and `stop(signal)`, which resolves with
 *   `{ code, signal }` once it has ended
 */
export async function startExample({ env = {}, data = newFolder() } = {}) {
  const service = new Service('the example', process.execPath, ['server.mjs'], {
    cwd: exampleRoot,
    env: childEnvironment({ NODE_ENV: 'production', PORT: '0', HOSTNAME: undefined, HUB_EXAMPLE_DATA: data, ...env }),
  });
  try {
    const [, url] = await service.printed(/HTTP Server:\s+(http:\/\/[^\s/]+)/);
    return {
      url,
      port: Number(new URL(url).port),
      pid: service.pid,
      data,
      get output() {
        return service.output;
      },
      stop: (signal = 'SIGTERM') => service.stop(signal),
    };
  } catch (error) {
    if (!service.ended) await service.stop('SIGKILL');
    throw error;
  }
}

function newFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captify-hub-example-'));
  atExit(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Modification times of a directory's sources and of the directories themselves, which tell of deleted files. */
function sourcesOf(directory) {
  const paths = [directory];
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    if (/^(\.|node_modules$|next-env\.d\.ts$)|\.tsbuildinfo$/.test(entry.name)) continue; // what npm and Next write
    const full = path.join(entry.parentPath ?? entry.path, entry.name);
    paths.push(...(entry.isDirectory() ? sourcesOf(full) : [full]));
  }
  // The app's own directory changes with every build, which writes `.next` and `next-env.d.ts` into it.
  return directory === exampleRoot ? paths.slice(1) : paths;
}

/** The latest modification among `paths`; 0 where none of them exists. */
function newest(paths) {
  return Math.max(0, ...paths.map((each) => fs.statSync(each, { throwIfNoEntry: false })?.mtimeMs ?? 0));
}

/** Runs npm in the example, and says every ten seconds that it still does. */
async function step(label, args, log) {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  log(`${label} …`);
  const child = spawn(npm, args, {
    cwd: exampleRoot,
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32', // .cmd files start no other way
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const alive = setInterval(() => log(`${label}: still at it after ${seconds()} s`), ALIVE_EVERY_MS);
  try {
    const [code, signal] = await once(child, 'close');
    if (code !== 0) throw new Error(`${label} failed (npm ${args.join(' ')}: ${signal ?? code}):\n${output}`);
  } finally {
    clearInterval(alive);
  }
  log(`${label}: done in ${seconds()} s`);
}

/** Asks for JSON. */
export async function getJson(url) {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
}

/** Sends JSON, a string as it is, and takes the answer's. */
export async function postJson(url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}
