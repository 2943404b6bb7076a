import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { plot } from '../bench/lib/plot.mjs';
import { median, medianRatio } from '../bench/lib/statistics.mjs';
import { holds, number, targetTable } from '../bench/lib/table.mjs';

const machine = {
  cpu: 'a processor',
  cores: 2,
  memoryGiB: 8,
  kernel: 'Linux 6.1',
  arch: 'x64',
  node: 'v20.0.0',
  rustc: '1.90.0',
};
const rows = [
  { what: 'a ratio', target: 1.1, reached: 1.1 },
  { what: 'a time', target: 3, below: true, unit: 'ms', reached: 3 },
  { what: 'one that broke', failed: 'the server did not start' },
];
const figures = [{ server: 'hub', what: 'CPU a delivery, 1 in flight', value: 2.5, unit: 'µs' }];
const result = { format: 1, date: '2026-01-01T00:00:00.000Z', commit: 'abc', machine, rows, figures };

function compare(t, before, after) {
  const directory = mkdtempSync(join(tmpdir(), 'hub-bench-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const files = [before, after].map((content, index) => {
    const file = join(directory, `${index}.json`);
    writeFileSync(file, JSON.stringify(content));
    return file;
  });
  const script = join(import.meta.dirname, '../bench/compare.mjs');
  return spawnSync(process.execPath, [script, ...files], { encoding: 'utf8' });
}

test('runs of different machines are not compared', (t) => {
  const { status, stderr } = compare(t, result, { ...result, machine: { ...machine, cores: 8 } });
  assert.equal(status, 1);
  assert.match(stderr, /different machines .*cores: 2 and 8/);
});

test('runs of one machine are compared row by row, whatever the version of Node', (t) => {
  const after = { ...result, machine: { ...machine, node: 'v22.0.0' }, rows: [{ ...rows[0], reached: 1.21 }, rows[1]] };
  const { status, stdout } = compare(t, result, after);
  assert.equal(status, 0);
  assert.match(stdout, /a ratio\s+≤ 1\.1\s+1\.1\s+1\.21 NO\s+\+10\.0 %/);
});

test('a ratio is taken in each round, so that a slow round counts on both sides', () => {
  assert.equal(medianRatio([10, 200, 11], [10, 100, 10]), 1.1);
  assert.equal(median([4, 1, 2, 3]), 2.5);
});

test('a target that must stay below does not hold where it is just met', () => {
  assert.deepEqual(rows.slice(0, 2).map(holds), [true, false]);
  assert.equal(number(0.53842), '0.538');
});

test('a scenario that failed is in the table with its reason', () => {
  assert.match(targetTable(rows), /one that broke +FAILED: the server did not start/);
});

test('the plot shows every target that was measured', () => {
  const svg = plot(result);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\n$/);
  assert.equal(svg.match(/>(a ratio|a time)</g).length, 2);
});
