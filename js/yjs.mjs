// @captify-io/hub/yjs: a provider of Y.js documents over the client of the fabric endpoint. For browsers and for Node.
// It is an ES module only: whoever edits imports Y.js as one, and two copies of Y.js do not know each other's types.

export { merge } from './yjs/merge.mjs';
export { FabricProvider } from './yjs/provider.mjs';
