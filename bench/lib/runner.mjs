// Runs scenarios: every server once a round, one after the other, so that drift of the machine meets all of them.
import { withServer } from './processes.mjs';

/**
 * @param rounds how often each scenario is repeated at most
 * @param time scales a measuring time, `count` a number of repetitions, for a quick look
 * @returns `{ id, title, runs: { name: [measured, …] }, rows, figures }` for each scenario
 */
export async function runScenarios(scenarios, { rounds, time, count }) {
  const total = scenarios.reduce(
    (sum, scenario) => sum + Math.min(scenario.rounds, rounds) * Object.keys(scenario.runs).length,
    0,
  );
  const progress = createProgress(total);
  const done = [];
  for (const scenario of scenarios) done.push(await runScenario(scenario, { rounds, time, count, progress }));
  return done;
}

async function runScenario(scenario, { rounds, time, count, progress }) {
  const { id, title, pinned, flags } = scenario;
  const names = Object.keys(scenario.runs);
  const runs = Object.fromEntries(names.map((name) => [name, []]));
  const repeat = Math.min(scenario.rounds, rounds);
  try {
    for (let round = 1; round <= repeat; round += 1) {
      // Back and forth, so that none is always the one after the heaviest.
      for (const name of round % 2 === 1 ? names : names.toReversed()) {
        progress(`${title} · round ${round} of ${repeat} · ${name}`);
        const { server, measure } = scenario.runs[name];
        const use = (load, pid) => measure({ load, pid, time, count });
        runs[name].push(server ? await withServer(server, { pinned, flags }, use) : await use());
      }
    }
    return { id, title, runs, rows: scenario.rows(runs), figures: scenario.figures(runs) };
  } catch (error) {
    console.error(`bench: ${title}: ${error.stack}`);
    return { id, title, runs, rows: [{ what: title, failed: error.message }], figures: [] };
  }
}

/** One line that is written over on a terminal, a line each anywhere else. */
function createProgress(total) {
  const begun = Date.now();
  let number = 0;
  return (text) => {
    number += 1;
    const line = `bench: ${number}/${total} (${Math.round((Date.now() - begun) / 1000)} s) ${text}`;
    if (process.stdout.isTTY) process.stdout.write(`\r${line}\x1b[K${number === total ? '\n' : ''}`);
    else console.log(line);
  };
}
