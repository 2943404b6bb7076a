// Reads lists out of sources and documents. What is not found is a fault of the reader: the text has moved, and a list that
// is empty would let its test pass for ever. So nothing here answers nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const read = (...names) => fs.readFileSync(path.join(ROOT, ...names), 'utf8');

/** Files below a directory whose names end so, without the tests beside them: those write what nothing sends. */
export function filesOf(directory, ending) {
  const names = fs
    .readdirSync(path.join(ROOT, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath ?? entry.path, entry.name)))
    .map((name) => name.split(path.sep).join('/'))
    .filter((name) => name.endsWith(ending) && !/(^|\/)tests(\.rs$|\/)/.test(name));
  assert.notEqual(names.length, 0, `no file below ${directory} ends in ${ending}`);
  return names;
}

const withoutTests = (text) => text.split(/^#\[cfg\(test\)\]$/m)[0];

/** What ships of a directory, in one text. */
export function sources(directory, ending) {
  return filesOf(directory, ending)
    .map((name) => withoutTests(read(name)))
    .join('\n');
}

/** The one file of a directory that holds `mark`, wherever it lies. */
export function sourceWith(directory, ending, mark) {
  const found = filesOf(directory, ending).filter((name) => withoutTests(read(name)).includes(mark));
  assert.equal(found.length, 1, `${mark} is in ${found.length} files below ${directory}: ${found}`);
  return withoutTests(read(found[0]));
}

/** What `pattern` captures, once each and sorted. */
export function all(text, pattern) {
  const found = [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].sort();
  assert.notEqual(found.length, 0, `nothing in ${text.length} characters looks like ${pattern}`);
  return found;
}

/** The part of `text` between `begin`, which must be there once, and the next `end`. */
export function section(text, begin, end) {
  const parts = text.split(begin);
  assert.equal(parts.length, 2, `there is ${parts.length < 2 ? 'no' : 'more than one'} ${begin}`);
  const to = parts[1].indexOf(end);
  assert.notEqual(to, -1, `nothing ends ${begin}`);
  return parts[1].slice(0, to);
}

/** The text below a heading of a document, up to the next heading of its level or above. */
export function chapter(name, heading) {
  const text = `${read(name)}\n# `;
  const level = /^#+/.exec(heading)[0].length;
  const body = section(text.replace(`\n${heading}\n`, `\n${heading} <- \n`), `\n${heading} <- \n`, '\n# ');
  return body.split(new RegExp(`^#{1,${level}} `, 'm'))[0];
}

/** What stands in backticks in the first column of the tables of a text. */
export function firstColumn(text, pattern = /`([^`]+)`/g) {
  const rows = text.split('\n').filter((line) => line.startsWith('| '));
  assert.notEqual(rows.length, 0, `there is no table in ${text.length} characters`);
  return all(rows.map((row) => row.split('|')[1]).join('\n'), pattern);
}

/** The documents, as paths from the root. */
export function documents() {
  const pages = fs.readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  assert.ok(pages.length >= 10, `there are only ${pages}`);
  return ['README.md', 'CONTRIBUTING.md', ...pages.map((name) => `docs/${name}`)];
}

/** A document without its blocks of code. */
export const prose = (name) => read(name).replace(/^ *```[^]*?^ *```$/gm, '');

/** The anchors of a document's headings, as GitHub makes them. */
export function anchors(name) {
  return [...prose(name).matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}
