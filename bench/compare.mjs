// node bench/compare.mjs BEFORE.json AFTER.json: two runs side by side. Refuses runs of different machines.
import { readFileSync } from 'node:fs';
import { machineDifferences, machineText } from './lib/machine.mjs';
import { holds, number, serverName, table, targetText } from './lib/table.mjs';

const [before, after] = process.argv.slice(2);
if (!after) {
  console.error('usage: node bench/compare.mjs BEFORE.json AFTER.json');
  process.exit(2);
}
const [a, b] = [before, after].map((file) => JSON.parse(readFileSync(file, 'utf8')));
const differences = machineDifferences(a.machine, b.machine);
if (differences.length > 0) {
  console.error(`bench: these runs are of different machines and cannot be compared (${differences.join('; ')})`);
  process.exit(1);
}

const change = (was, is) => (was ? `${is >= was ? '+' : ''}${(((is - was) / was) * 100).toFixed(1)} %` : '');
const verdict = (row) => (holds(row) ? '' : ' NO');

console.log(`before: ${a.commit} ${a.date}, Node ${a.machine.node}, rustc ${a.machine.rustc}`);
console.log(`after:  ${b.commit} ${b.date}, ${machineText(b.machine)}\n`);
const rows = b.rows.flatMap((row) => {
  const old = a.rows.find(({ what }) => what === row.what);
  if (!old || old.failed || row.failed) return [];
  return [
    [
      row.what,
      targetText(row),
      number(old.reached) + verdict(old),
      number(row.reached) + verdict(row),
      change(old.reached, row.reached),
    ],
  ];
});
console.log(`${table(['what', 'target', 'before', 'after', 'change'], rows, [1, 2, 3, 4])}\n`);
const figures = b.figures.flatMap((figure) => {
  const old = a.figures.find(({ what, server }) => what === figure.what && server === figure.server);
  if (!old) return [];
  return [
    [
      `${figure.what}, ${figure.unit}`,
      serverName(figure.server),
      number(old.value),
      number(figure.value),
      change(old.value, figure.value),
    ],
  ];
});
console.log(table(['medians', 'server', 'before', 'after', 'change'], figures, [2, 3, 4]));
