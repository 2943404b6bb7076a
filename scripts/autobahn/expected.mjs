// What every case is known to do, and how a run differs from it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareIds } from './suite.mjs';

const file = join(import.meta.dirname, 'expected.json');

/**
 * `NON-STRICT` is right by RFC 6455, though the suite would have it sooner; `INFORMATIONAL` judges nothing.
 * Everything else (`FAILED`, `WRONG CODE`, `UNCLEAN`, `UNIMPLEMENTED` …) is a failure.
 */
const PASSED = new Set(['OK', 'NON-STRICT', 'INFORMATIONAL']);

export const passed = ({ behavior, behaviorClose }) => PASSED.has(behavior) && PASSED.has(behaviorClose);

const words = (result) => (result ? `${result.behavior}, close ${result.behaviorClose}` : 'nothing');

/**
 * @param all whether the run had every case, so that one missing in it is a difference
 * @returns a line for each case that did something else than `expected` says
 */
export function differences(results, expected, all) {
  const ids = new Set([...Object.keys(results), ...(all ? Object.keys(expected) : [])]);
  return [...ids]
    .sort(compareIds)
    .map((id) => ({ id, was: words(expected[id]), is: words(results[id]) }))
    .filter(({ was, is }) => was !== is)
    .map(({ id, was, is }) => `${id}: expected ${was}; got ${is}`);
}

export function readExpected() {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Writes one line a case, so that a change shows as one line of a diff. */
export function writeExpected(results) {
  const lines = Object.keys(results)
    .sort(compareIds)
    .map((id) => `  ${JSON.stringify(id)}: ${JSON.stringify(results[id])}`);
  writeFileSync(file, `{\n${lines.join(',\n')}\n}\n`);
}
