// The benchmark: npm run bench -- [--quick] [--rounds N] [--only fanout,storm] [--out FILE]
// Prints the target table and writes results/latest.json and results/plot.svg. Run it on a machine that does nothing else.
// --quick is one short round to see that everything works: its figures mean nothing, and it writes no plot.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepare } from './lib/build.mjs';
import { describeMachine, machineText } from './lib/machine.mjs';
import { results, root } from './lib/paths.mjs';
import { plot } from './lib/plot.mjs';
import { runScenarios } from './lib/runner.mjs';
import { figureTable, targetTable } from './lib/table.mjs';
import { scenarios } from './scenarios/index.mjs';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
});

function chosen() {
  if (!values.only) return scenarios;
  const ids = values.only.split(',');
  const unknown = ids.filter((id) => !scenarios.some((scenario) => scenario.id === id));
  if (unknown.length > 0)
    throw new Error(`no scenario ${unknown.join(', ')}; there are ${scenarios.map(({ id }) => id).join(', ')}`);
  return scenarios.filter(({ id }) => ids.includes(id));
}

async function main() {
  const wanted = chosen();
  prepare({ next: wanted.some(({ id }) => id === 'pages') });
  const machine = describeMachine();
  console.log(`bench: on ${machineText(machine)}`);
  const rounds = values.quick ? 1 : Number(values.rounds ?? Infinity);
  const time = (milliseconds) => (values.quick ? Math.ceil(milliseconds / 5) : milliseconds);
  const count = (repetitions) => (values.quick ? Math.ceil(repetitions / 10) : repetitions);
  const done = await runScenarios(wanted, { rounds, time, count });
  const rows = done.flatMap((scenario) => scenario.rows);
  const figures = done.flatMap((scenario) => scenario.figures);
  console.log(`\n${targetTable(rows)}\n\n${figureTable(figures)}\n`);

  const commit =
    spawnSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).stdout?.trim() || null;
  const runs = Object.fromEntries(done.map((scenario) => [scenario.id, scenario.runs]));
  const result = {
    format: 1,
    date: new Date().toISOString(),
    commit,
    quick: values.quick,
    machine,
    rows,
    figures,
    runs,
  };
  mkdirSync(results, { recursive: true });
  const whole = !values.quick && !values.only;
  const file = values.out ?? join(results, whole ? 'latest.json' : 'partial.json');
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`bench: wrote ${file}`);
  if (whole) writeFileSync(join(results, 'plot.svg'), plot(result));
  return rows.some(({ failed }) => failed) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
