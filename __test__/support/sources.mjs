// What stands in the sources, for tests that hold two places together.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './hub-server.mjs';

/** The crate's sources without their tests, as one text: a test that reads them asks what is there, not in which file. */
export function rustSources() {
  const root = path.join(ROOT, 'src');
  return fs
    .readdirSync(root, { recursive: true })
    .filter((name) => name.endsWith('.rs') && !/(^|[\\/])tests(\.rs$|[\\/])/.test(name))
    .map((name) => fs.readFileSync(path.join(root, name), 'utf8').split(/^#\[cfg\(test\)\]\nmod /m)[0])
    .join('\n');
}

/** What `pattern` captures in the one place where it matches. */
export function one(text, pattern) {
  const found = [...text.matchAll(new RegExp(pattern, `${pattern.flags.replace('g', '')}g`))];
  assert.equal(found.length, 1, `${pattern} is there ${found.length} times`);
  return found[0][1];
}

/** The Rust block that begins with `head`, without its braces' own lines. */
export function rustBlock(text, head) {
  const begin = text.indexOf(`\n${head} {\n`);
  assert.notEqual(begin, -1, `there is no ${head}`);
  return text.slice(begin, text.indexOf('\n}\n', begin));
}

/** A number as Rust writes it in a default: `4 << 20`, `20_000`, `Some(Duration::from_secs(30))`, this one in ms. */
export function rustNumber(written) {
  const plain = /^Some\((.*)\)$/.exec(written)?.[1] ?? written;
  const duration = /^Duration::from_(millis|secs|mins|hours)\(([\d_]+)\)$/.exec(plain);
  const digits = (text) => Number(text.replaceAll('_', ''));
  if (duration) return digits(duration[2]) * { millis: 1, secs: 1000, mins: 60_000, hours: 3_600_000 }[duration[1]];
  const [base, shift = '0'] = plain.split(' << ');
  const value = digits(base) * 2 ** digits(shift);
  assert.ok(Number.isInteger(value), `${written} is read as a number`);
  return value;
}
