// The declarations hold for real usage, compiled in the ways apps are compiled.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../support/hub-server.mjs';
import { childEnvironment } from '../support/processes.mjs';

const compiler = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const sources = path.join(ROOT, '__test__', 'types');

const KINDS = {
  'node16, as an ES module': { extension: 'mts', module: 'node16', moduleResolution: 'node16' },
  'node16, as CommonJS': { extension: 'cts', module: 'node16', moduleResolution: 'node16' },
  'nodenext, as an ES module': { extension: 'mts', module: 'nodenext', moduleResolution: 'nodenext' },
  'bundler, as Next compiles it': { extension: 'ts', module: 'esnext', moduleResolution: 'bundler' },
};

/** Compiles a file of types/ in a directory inside the package, where the package is found by its name. */
async function compile(t, name, { extension, module, moduleResolution }, more = {}) {
  const directory = await fs.mkdtemp(path.join(sources, 'compiled-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  await fs.copyFile(path.join(sources, `${name}.ts`), path.join(directory, `${name}.${extension}`));
  const compilerOptions = {
    module,
    moduleResolution,
    target: 'es2022',
    lib: ['es2022'],
    types: ['node'],
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    ...more,
  };
  const config = { compilerOptions, files: [`${name}.${extension}`] };
  await fs.writeFile(path.join(directory, 'tsconfig.json'), JSON.stringify(config));
  return new Promise((resolve) => {
    const args = [compiler, '--project', directory, '--pretty', 'false'];
    execFile(process.execPath, args, { cwd: directory, env: childEnvironment() }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, output: stdout + stderr });
    });
  });
}

for (const [kind, options] of Object.entries(KINDS)) {
  test(`real usage compiles with module resolution ${kind}`, async (t) => {
    const { code, output } = await compile(t, 'usage', options);
    assert.deepEqual([code, output], [0, '']);
  });

  test(`wrong usage is refused with module resolution ${kind}, line by line`, async (t) => {
    const lines = (await fs.readFile(path.join(sources, 'wrong.ts'), 'utf8')).split('\n');
    const marked = lines.flatMap((line, index) => (line.endsWith('// wrong') ? [index + 1] : []));
    const { code, output } = await compile(t, 'wrong', options);
    assert.notEqual(code, 0);
    const reported = [...output.matchAll(/^wrong\.\w+\((\d+),/gm)].map(([, line]) => Number(line));
    assert.deepEqual(
      [...new Set(reported)].sort((a, b) => a - b),
      marked,
      output,
    );
  });
}

/** The declarations of `ai` and Y.js are not this package's to check. */
const BROWSER = { lib: ['es2022', 'dom', 'dom.iterable'], skipLibCheck: true };

for (const [kind, options] of Object.entries(KINDS).filter(([, { extension }]) => extension !== 'cts')) {
  test(`the chat transport is one of the AI SDK with module resolution ${kind}`, async (t) => {
    const { code, output } = await compile(t, 'client', options, BROWSER);
    assert.deepEqual([code, output], [0, '']);
  });
}

for (const [kind, options] of Object.entries(KINDS).filter(([, { extension }]) => extension !== 'cts')) {
  test(`the Y.js provider takes what Y.js has with module resolution ${kind}`, async (t) => {
    const { code, output } = await compile(t, 'yjs', options, BROWSER);
    assert.deepEqual([code, output], [0, '']);
  });

  test(`an editor with the plugin compiles with module resolution ${kind}`, async (t) => {
    const { code, output } = await compile(t, 'editor', options, BROWSER);
    assert.deepEqual([code, output], [0, '']);
  });
}
