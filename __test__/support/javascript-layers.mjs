// The layers of the package's JavaScript, and what of a graph of imports is against them.

/** From the bottom to the top: a folder uses itself and those before it. */
export const FOLDERS = ['shared', 'http', 'admission', 'hub', 'next'];

/** Folders beside that order, which use what stands in `shared` and themselves. */
const APART = ['client', 'agent', 'admin', 'prosemirror', 'yjs'];

/** Entries of the package that are bundled: what they reach stands in these folders only. */
const BUNDLED = ['index.js', 'agent.js', 'admin.js', 'client.js', 'agent-client.mjs', 'prosemirror.mjs', 'yjs.mjs'];
const BUNDLED_FOLDERS = ['shared', ...APART];

const folderOf = (file) => (file.includes('/') ? file.split('/')[0] : '');

function mayUse(from, to) {
  // The entries on top use everything but each other.
  if (from === '') return to !== '';
  if (from === to) return true;
  if (APART.includes(from)) return to === 'shared';
  return FOLDERS.includes(from) && FOLDERS.includes(to) && FOLDERS.indexOf(to) < FOLDERS.indexOf(from);
}

/** The files that `entry` is made of: itself and what it imports, directly or not. */
export function reachedFrom(graph, entry, reached = new Set()) {
  if (reached.has(entry)) return reached;
  reached.add(entry);
  for (const file of graph.get(entry) ?? []) reachedFrom(graph, file, reached);
  return reached;
}

/**
 * One line for each import that goes up, or over to where it may not.
 *
 * @param {import('../../scripts/imports.mjs').Graph} graph
 */
export function layerFaults(graph) {
  const known = ['', ...FOLDERS, ...APART];
  const faults = [];
  for (const [file, imports] of graph) {
    const folder = folderOf(file);
    if (!known.includes(folder)) faults.push(`${file} is in a folder that is no layer`);
    for (const other of imports) {
      if (!mayUse(folder, folderOf(other))) faults.push(`${file} uses ${other}`);
    }
  }
  for (const entry of BUNDLED.filter((name) => graph.has(name))) {
    for (const file of reachedFrom(graph, entry)) {
      if (file !== entry && !BUNDLED_FOLDERS.includes(folderOf(file))) faults.push(`${entry} reaches ${file}`);
    }
  }
  return faults.sort();
}
