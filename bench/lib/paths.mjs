// Where things are.
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
export const bench = join(root, 'bench');
export const results = join(bench, 'results');
const target = join(root, 'build/bench');
export const loadTarget = target;
export const load = join(target, 'release/load');
export const bare = join(target, 'release/bare');
export const bareEcho = join(target, 'release/echo');
export const addon = join(root, `prebuilds/${process.platform}-${process.arch}/hub.node`);
/** A file that a server under test writes; removed before the server starts. */
export const scratch = (name) => join(target, 'scratch', name);
export const example = join(root, 'example');
