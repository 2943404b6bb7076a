// An app whose Next is a stub of a few lines: for what startServer does around Next, without seconds of starting one.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './fixture-apps.mjs';
import { Service, childEnvironment } from './processes.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * `GET /slow` is answered after half a second, `/never` not at all, which both are printed, `/count` with the process and its connections. STUB_SLOW_START never ends its
 * start, STUB_START_MS makes it longer, STUB_TALKS writes at its end, STUB_BASE_PATH is its configuration's.
 */
const NEXT = `
const talk = () => process.env.STUB_TALKS && console.log('one more line');
module.exports = (options) => ({
  prepare: () => {
    console.log('next: ' + JSON.stringify({ ...options, httpServer: undefined }));
    if (process.env.STUB_SLOW_START) return new Promise(() => setInterval(() => {}, 1000));
    return new Promise((resolve) => setTimeout(resolve, Number(process.env.STUB_START_MS ?? 0)));
  },
  getRequestHandler: () => (request, response) => {
    const answer = () => response.end('page in ' + process.env.NODE_ENV);
    if (['/slow', '/never'].includes(request.url)) console.log('asked for ' + request.url);
    if (request.url === '/never') return;
    if (request.url === '/slow') setTimeout(answer, 500);
    else if (request.url === '/count') {
      const { getConnectionCount } = require(${JSON.stringify(path.join(root, 'js', 'index.js'))});
      response.end(JSON.stringify({ process: process.pid, count: getConnectionCount('fabric') }));
    }
    else answer();
  },
  upgradeHandler: async () => {},
  server: { getServer: async () => ({ nextConfig: { basePath: process.env.STUB_BASE_PATH }, prepare: async () => {} }) },
  close: async () => { for (let line = 0; line < 20; line += 1) { talk(); await new Promise(setImmediate); } },
});
`;

/** Makes the app's directory; `server` is the source of its server.mjs. */
export function makeStubApp({ options = '{}', before = '' } = {}) {
  const directory = temporaryDirectory('stub-app');
  const write = (name, text) => {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  };
  write('package.json', '{}');
  write('node_modules/next/package.json', '{"name":"next","main":"index.js","version":"15.0.0"}');
  write('node_modules/next/index.js', NEXT);
  write(
    'server.mjs',
    `import hub from ${JSON.stringify(path.join(root, 'js', 'server.js'))};
     ${before}
     const running = await hub.startServer({ dir: import.meta.dirname, hub: { logLevel: 'off' }, ...${options} });
     console.log('listening on ' + JSON.stringify(running.server.address()) + ', as ' + running.url + ', ' +
       running.server.keepAliveTimeout + ' ms');`,
  );
  return directory;
}

/** `node server.mjs` in such an app. */
export function startStub(directory, { args = [], env = {}, ipc = false } = {}) {
  return new Service('a server with a stub of Next', process.execPath, ['server.mjs', ...args], {
    cwd: directory,
    env: childEnvironment({ NODE_ENV: 'production', ...env }),
    ipc,
  });
}

/** Resolves, once it serves, with what it told: `{ address, port, url, keepAliveTimeout }`. */
export async function served(service) {
  const [, address, url, keepAlive] = await service.printed(/listening on (\{.*\}), as (\S+), (\d+) ms/);
  return { ...JSON.parse(address), url, keepAliveTimeout: Number(keepAlive) };
}
