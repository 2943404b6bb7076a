import * as Y from 'yjs';
import { fromBase64, toBase64 } from './base64.mjs';

/** One update that says what a state and updates say, all of them in base64; null is no state. */
export function merge(state, updates) {
  const all = state === null || state === undefined ? updates : [state, ...updates];
  return toBase64(Y.mergeUpdates(all.map(fromBase64)));
}
