import path from 'node:path';

// `file:..` makes node_modules/@captify-io/hub a symlink that leaves this directory. Turbopack follows links only
// inside its root, so the root is the common parent, and Next wants file tracing to start at the same place.
const root = path.dirname(import.meta.dirname);

/** @type {import('next').NextConfig} */
const config = {
  turbopack: { root },
  outputFileTracingRoot: root,
  poweredByHeader: false,
};

export default config;
