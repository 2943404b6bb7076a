// `npm run guard`: counts what the hot path costs, by callgrind, and compares it with what is on record. The same input
// costs the same on a busy machine and a quiet one, so that a change that makes the hub dearer is seen at once.
//
//   npm run guard                what grew, and by how much; exit code 1 where anything did
//   npm run guard -- --update    writes what was counted into benches/guard.json
//   npm run guard -- fanout      some scenarios
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { table } from '../bench/lib/table.mjs';
import { projectRoot } from './addon.mjs';
import { TOLERANCE, differences, middle, parseCallgrind, perRepetition, sum } from './callgrind.mjs';
import { ensureSystemPackages } from './system.mjs';

const RECORD = join(projectRoot, 'benches/guard.json');

/**
 * `runs` are the repetitions of the two runs whose difference counts; `units` is what one repetition stands for; `wider` is
 * for counts that hang on which thread is first.
 */
const SCENARIOS = {
  decode: { title: 'decode, parse, encode', unit: 'message', runs: [1000, 3000], units: 1 },
  outbox: { title: 'outbox of a slow member', unit: 'update and cursor', runs: [2000, 6000], units: 1 },
  fanout: { title: 'fan-out to 100 members', unit: 'delivery', runs: [100, 500], units: 99 },
  batch: { title: 'fan-out, 8 messages read at once', unit: 'delivery', runs: [50, 150], units: 99 * 8 },
  documents: { title: '20 documents of 10 members', unit: 'delivery', runs: [500, 2500], units: 9 },
  'many-documents': {
    title: '200 documents of 10 members',
    unit: 'delivery',
    runs: [500, 4500],
    units: 9,
    wider: { instructions: 0.08, waits: 0.5 },
  },
  publish: { title: 'publish to 100 from a route handler', unit: 'delivery', runs: [200, 1000], units: 100 },
  room: { title: "publish to a handler's room of 100", unit: 'delivery', runs: [200, 1000], units: 100 },
  connect: {
    title: 'connect, join, leave',
    unit: 'connection',
    runs: [200, 1000],
    units: 1,
    wider: { instructions: 0.12, waits: 0.5 },
  },
};

function build() {
  const args = ['bench', '--locked', '--no-default-features', '--bench', 'guard', '--no-run', '--message-format=json'];
  const { status, stdout } = spawnSync('cargo', args, {
    cwd: projectRoot,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error('the benchmark does not build');
  const built = stdout.split('\n').filter((line) => line.includes('"executable"'));
  const { executable } = built.map((line) => JSON.parse(line)).find(({ target }) => target?.name === 'guard') ?? {};
  if (!executable) throw new Error('cargo names no executable');
  return executable;
}

/** Counts of one run: of all threads but the first, which is the clients. */
async function count(valgrind, executable, scenario, repetitions) {
  const directory = mkdtempSync(join(tmpdir(), 'hub-guard-'));
  try {
    const options = [
      '-q',
      '--tool=callgrind',
      '--separate-threads=yes',
      `--callgrind-out-file=${join(directory, 'out')}`,
    ];
    await promisify(execFile)(valgrind, [...options, executable, scenario, String(repetitions)], { timeout: 300_000 });
    const threads = readdirSync(directory).filter((name) => /^out-\d+$/.test(name) && name !== 'out-01');
    return sum(threads.map((name) => parseCallgrind(readFileSync(join(directory, name), 'utf8'))));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function measure(valgrind, executable, id) {
  const { runs, units } = SCENARIOS[id];
  const [fewer, more] = await Promise.all(runs.map((repetitions) => count(valgrind, executable, id, repetitions)));
  const each = perRepetition(fewer, more, (runs[1] - runs[0]) * units);
  // Rounded so that a record that is written again differs only where something does.
  return Object.fromEntries(
    Object.entries(each).map(([what, value]) => [what, round(value, what === 'instructions' ? 0 : 2)]),
  );
}

const round = (value, digits) => Math.max(0, Number(value.toFixed(digits)));

const versions = (valgrind) => ({
  arch: process.arch,
  rustc: version('rustc', 1),
  valgrind: version(valgrind, 0).replace('valgrind-', ''),
});

function version(command, word) {
  return spawnSync(command, ['--version'], { cwd: projectRoot, encoding: 'utf8' }).stdout.trim().split(' ')[word];
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { update: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const ids = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
  for (const id of ids)
    if (!SCENARIOS[id]) throw new Error(`no scenario ${id}; there are ${Object.keys(SCENARIOS).join(', ')}`);
  const { valgrind } = await ensureSystemPackages(['valgrind'], { log: console.log });
  const executable = build();
  const record = JSON.parse(readFileSync(RECORD, 'utf8'));
  const counted = {};
  const atOnce = Math.max(1, Math.floor(availableParallelism() / 2));
  const left = [...ids];
  const recount = (id) => values.update || differences(record.figures[id], counted[id], SCENARIOS[id].wider).length > 0;
  const workers = Array.from({ length: atOnce }, async () => {
    for (let id = left.shift(); id; id = left.shift()) {
      counted[id] = await measure(valgrind, executable, id);
      // Where the hub's threads meet is chance under valgrind, and now and then one waits for another: what differs is
      // counted twice more, and the middle one counts.
      if (!recount(id)) continue;
      const again = [await measure(valgrind, executable, id), await measure(valgrind, executable, id)];
      counted[id] = middle([counted[id], ...again]);
    }
  });
  await Promise.all(workers);

  const here = versions(valgrind);
  if (values.update) {
    const figures = Object.fromEntries(Object.keys(SCENARIOS).map((id) => [id, counted[id] ?? record.figures[id]]));
    writeFileSync(RECORD, `${JSON.stringify({ ...here, figures }, null, 2)}\n`);
  }
  const whats = Object.keys(Object.values(counted)[0]);
  const rows = ids.map((id) => [SCENARIOS[id].title, SCENARIOS[id].unit, ...whats.map((what) => counted[id][what])]);
  console.log(
    `\n${table(
      ['what the hub does', 'for each', ...whats],
      rows,
      whats.map((_, column) => column + 2),
    )}\n`,
  );
  if (values.update) return 0;
  if (record.arch !== here.arch) {
    console.log(`guard: the record is of ${record.arch}, this is ${here.arch}: nothing to compare with`);
    return 0;
  }
  return compare(ids, record, counted, here);
}

function compare(ids, record, counted, here) {
  const found = ids.flatMap((id) =>
    differences(record.figures[id], counted[id], SCENARIOS[id].wider).map((one) => ({ id, ...one })),
  );
  for (const { id, what, recorded, counted: now, grew } of found) {
    const change =
      recorded > 0 ? ` (${now > recorded ? '+' : ''}${(((now - recorded) / recorded) * 100).toFixed(0)} %)` : '';
    const { title, unit } = SCENARIOS[id];
    console.log(
      `guard: ${title}: ${what} for each ${unit} ${grew ? 'GREW' : 'fell'} from ${recorded} to ${now}${change}`,
    );
  }
  if (found.length === 0) {
    console.log(`guard: nothing differs from the record by more than ${TOLERANCE.share * 100} %`);
    return 0;
  }
  for (const tool of ['rustc', 'valgrind']) {
    if (record[tool] !== here[tool])
      console.log(`guard: the record was made with ${tool} ${record[tool]}, this is ${here[tool]}`);
  }
  console.log(
    found.some(({ grew }) => grew)
      ? 'guard: if what grew is worth it, say so in the commit and record it: npm run guard -- --update'
      : 'guard: it costs less than recorded; record it, so that it stays so: npm run guard -- --update',
  );
  return 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`guard: ${error.message}`);
  process.exitCode = 2;
}
