// Who imports whom among the files of a folder, and where that goes in a circle.
//   npm run layers     prints the circles of src/, js/ and bench/load/src, and what of src/ uses something further up than
//                      itself in the list of src/lib.rs; fails where there is any
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {Map<string, Set<string>>} Graph a file's path below the root -> the paths of those it imports */

/** Every file below `root` whose name ends in one of `endings`, as sorted relative paths. */
function filesBelow(root, endings) {
  return fs
    .readdirSync(root, { recursive: true })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => endings.some((ending) => file.endsWith(ending)))
    .sort();
}

/** Source without comments and without what is only compiled for tests at the end of a file. */
function rustCode(text) {
  return text
    .replace(/\/\/.*$/gm, '')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/#\[cfg\([^\]]*\btest\b[^\]]*\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub\s+)?mod\s+\w+\s*(?:;|\{[\s\S]*$)/g, '');
}

/** The module path of a Rust file: `room/batch.rs` -> ['room', 'batch'], `room/mod.rs` and `room.rs` -> ['room']. */
function rustModule(file) {
  const names = file.replace(/\.rs$/, '').split('/');
  if (['lib', 'main', 'mod'].includes(names.at(-1))) names.pop();
  return names;
}

/** Splits `a, b::{c, d}, e` at the commas that are in no braces. */
function splitItems(text) {
  const items = [''];
  let depth = 0;
  for (const character of text) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (character === ',' && depth === 0) items.push('');
    else items[items.length - 1] += character;
  }
  return items.map((item) => item.trim()).filter(Boolean);
}

/** The paths that a use tree names: `a::{b, c::d}` -> [[a, b], [a, c, d]]. */
function usePaths(tree, before = []) {
  const open = tree.indexOf('{');
  if (open < 0)
    return [
      [
        ...before,
        ...tree
          .replace(/\s+as\s+\w+$/, '')
          .split('::')
          .map((name) => name.trim()),
      ],
    ];
  const head = tree
    .slice(0, open)
    .split('::')
    .map((name) => name.trim())
    .filter(Boolean);
  return splitItems(tree.slice(open + 1, tree.lastIndexOf('}'))).flatMap((item) =>
    usePaths(item, [...before, ...head]),
  );
}

/**
 * The imports of a crate, by `use` declarations and by paths that begin with `crate::`. What only tests import is left out.
 *
 * @param {string} root the folder of lib.rs
 * @returns {Graph}
 */
export function rustImports(root) {
  const files = filesBelow(root, ['.rs']).filter((file) => !/(^|\/)tests(\.rs$|\/)/.test(file));
  const modules = new Map(files.map((file) => [rustModule(file).join('::'), file]));
  // The longest beginning of a path that is a module; the rest are items in it.
  const owner = (names) => {
    for (let length = names.length; length >= 0; length -= 1) {
      const file = modules.get(names.slice(0, length).join('::'));
      if (file) return file;
    }
    return undefined;
  };
  const reexports = new Map();
  const graph = new Map();
  for (const file of files) {
    const here = rustModule(file);
    const code = rustCode(fs.readFileSync(path.join(root, file), 'utf8'));
    const trees = [...code.matchAll(/\b(pub(?:\([a-z]+\))?\s+)?use\s+([^;]+);/g)];
    const inline = [...code.replace(/\buse\s[^;]*;/g, '').matchAll(/\bcrate((?:::\w+)+)/g)];
    const named = [
      ...trees.flatMap((tree) =>
        usePaths(tree[2].replace(/\s+/g, ' ')).map((names) => ({ names, isPublic: Boolean(tree[1]) })),
      ),
      ...inline.map((match) => ({ names: `crate${match[1]}`.split('::'), isPublic: false })),
    ];
    const imports = new Set();
    for (const { names, isPublic } of named) {
      let absolute = names[0] === 'crate' ? names.slice(1) : [...here, ...names];
      const isOfThisCrate =
        ['crate', 'super', 'self'].includes(names[0]) || modules.has([...here, names[0]].join('::'));
      if (!isOfThisCrate) continue;
      for (let at; (at = absolute.findIndex((name) => name === 'super')) >= 0;) absolute.splice(at - 1, 2);
      absolute = absolute.filter((name) => name !== 'self');
      // What a folder's own file hands on of the files below it is its table of contents, no use of them.
      if (isPublic) reexports.set([...here, absolute.at(-1)].join('::'), owner(absolute));
      else imports.add(absolute.join('::'));
    }
    graph.set(file, imports);
  }
  // A name that a folder's own file hands on belongs to the file that it comes from.
  const resolve = (name) => reexports.get(name) ?? owner(name.split('::'));
  return new Map(
    [...graph].map(([file, names]) => [
      file,
      new Set([...names].map(resolve).filter((other) => other && other !== file)),
    ]),
  );
}

/**
 * The imports of JavaScript files, by `require`, `import` and `import()` of a relative path.
 *
 * @param {string} root
 * @returns {Graph}
 */
export function javascriptImports(root) {
  const files = filesBelow(root, ['.js', '.mjs', '.cjs']);
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const code = fs.readFileSync(path.join(root, file), 'utf8').replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
      const named = [...code.matchAll(/(?:\brequire\(|\bfrom\s+|\bimport\s*\(?\s*)(['"])(\.[^'"]+)\1/g)];
      const targets = named.map((match) => path.posix.join(path.posix.dirname(file), match[2]));
      return [file, new Set(targets.filter((target) => known.has(target)))];
    }),
  );
}

/**
 * The circles of a graph: its strongly connected components of more than one file (Tarjan's algorithm).
 *
 * @param {Graph} graph
 * @returns {string[][]} each sorted, the largest first
 */
export function circles(graph) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const other of graph.get(file) ?? []) {
      if (!index.has(other)) visit(other);
      if (stack.includes(other)) low.set(file, Math.min(low.get(file), low.get(other)));
    }
    if (low.get(file) !== index.get(file)) return;
    const component = stack.splice(stack.indexOf(file));
    if (component.length > 1) found.push(component.sort());
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found.sort((a, b) => b.length - a.length);
}

/**
 * The layers of a crate, from the top to the bottom: the names that begin the items of the list in its lib.rs.
 *
 * @param {string} root the folder of lib.rs
 * @returns {string[][]} the modules of each layer
 */
export function rustLayers(root) {
  const text = fs.readFileSync(path.join(root, 'lib.rs'), 'utf8');
  return [...text.matchAll(/^\/\/! - (.*?):/gm)].map(([, names]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
}

/**
 * What is against the layers: a file that uses one of a layer further up, or one that stands in no layer.
 *
 * @param {Graph} graph
 * @param {string[][]} layers from the top to the bottom
 * @returns {string[]} a line for each
 */
export function upwardImports(graph, layers) {
  const layerOf = (file) => layers.findIndex((names) => names.includes(file.split('/')[0].replace(/\.rs$/, '')));
  const found = [];
  for (const [file, imports] of graph) {
    if (file === 'lib.rs') continue;
    if (layerOf(file) < 0) found.push(`${file} stands in no layer`);
    for (const other of imports) {
      // What lib.rs hands on belongs to the file that it comes from, so nobody uses lib.rs itself.
      if (layerOf(other) < layerOf(file)) found.push(`${file} uses ${other}`);
    }
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const projectRoot = fileURLToPath(new URL('..', import.meta.url));
  for (const [folder, imports] of [
    ['src', rustImports],
    ['js', javascriptImports],
    ['bench/load/src', rustImports],
  ]) {
    const found = circles(imports(path.join(projectRoot, folder)));
    console.log(`${folder}: ${found.length === 0 ? 'no circle' : `${found.length} circle(s)`}`);
    for (const circle of found) console.log(`  ${circle.length} files: ${circle.join(' ')}`);
    if (found.length > 0) process.exitCode = 1;
  }
  const root = path.join(projectRoot, 'src');
  const upward = upwardImports(rustImports(root), rustLayers(root));
  console.log(`src: ${upward.length === 0 ? 'every import goes down' : 'imports that go up:'}`);
  for (const line of upward) console.log(`  ${line}`);
  if (upward.length > 0) process.exitCode = 1;
}
