'use strict';

// Which handler serves a path. The native side decides by the same rule (`Shared::slot_for`).

const pathOf = (url) => url.split(/[?#]/, 1)[0];

/**
 * The one of `paths` that serves `path`: just this one, or else the longest beginning.
 *
 * @param {Map<string, unknown>} paths
 * @returns {string | undefined}
 */
function serving(paths, path) {
  if (paths.has(path)) return path;
  let found;
  for (const each of paths.keys()) {
    const isBeginning = each.endsWith('*') && path.startsWith(each.slice(0, -1));
    if (isBeginning && !(found?.length >= each.length)) found = each;
  }
  return found;
}

/** What follows the beginning that a handler serves, decoded; empty for a handler of one path. */
function subpathOf(handlerPath, path) {
  if (!handlerPath.endsWith('*')) return '';
  const rest = path.slice(handlerPath.length - 1);
  try {
    return decodeURIComponent(rest);
  } catch {
    return rest;
  }
}

module.exports = { pathOf, serving, subpathOf };
