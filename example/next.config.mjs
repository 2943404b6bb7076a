import path from 'node:path';

// `file:..` makes node_modules/@captify-io/hub a symlink that leaves this directory. Turbopack follows links only
// inside its root, so the root is the common parent, and Next wants file tracing to start at the same place.
const root = path.dirname(import.meta.dirname);

/** @type {import('next').NextConfig} */
const config = {
  turbopack: {
    root,
    // The package is a link here, and its own folder may have a Y.js to be tested with: the page must have one alone.
    resolveAlias: {
      yjs: './node_modules/yjs/dist/yjs.mjs',
      'y-protocols/awareness': './node_modules/y-protocols/awareness.js',
    },
  },
  outputFileTracingRoot: root,
  poweredByHeader: false,
};

export default config;
