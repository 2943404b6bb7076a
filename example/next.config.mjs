import path from 'node:path';

// `file:..` makes node_modules/@captify-io/hub a symlink that leaves this directory. Turbopack follows links only
// inside its root, so the root is the common parent, and Next wants file tracing to start at the same place.
const root = path.dirname(import.meta.dirname);

// The package is a link here, and its own folder may have a Y.js and a ProseMirror to be tested with: a page must have one
// of each alone.
const prosemirror = ['collab', 'model', 'state', 'transform', 'view'].map((name) => `prosemirror-${name}`);
const resolveAlias = {
  yjs: './node_modules/yjs/dist/yjs.mjs',
  'y-protocols/awareness': './node_modules/y-protocols/awareness.js',
  ...Object.fromEntries(prosemirror.map((name) => [name, `./node_modules/${name}/dist/index.js`])),
};

/** @type {import('next').NextConfig} */
const config = {
  turbopack: { root, resolveAlias },
  outputFileTracingRoot: root,
  poweredByHeader: false,
};

export default config;
