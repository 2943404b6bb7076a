// `npm run fault -- --seed 7 --minutes 5`: breaks connections for minutes and tells whether anybody was told a lie.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { SeveralProcesses } from '../__test__/support/fault/several-processes.mjs';
import { runFaults } from '../__test__/support/fault/world.mjs';
import { ensureAddonBuilt } from './addon.mjs';
import { serverProgram } from './system.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    minutes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '200' },
    documents: { type: 'string', default: '20' },
    restarts: { type: 'string' },
    processes: { type: 'string', default: '1' },
    // Of the documents of several processes; the others are relays.
    kinds: { type: 'string', default: 'steps,updates' },
    // Whether sentinels say which of two servers is the primary.
    sentinel: { type: 'boolean', default: false },
    // `redis`, `valkey`, or the path of such a server.
    server: { type: 'string' },
    // A file for everything that several processes say.
    log: { type: 'string' },
  },
});
const number = (name) => {
  const value = Number(values[name]);
  if (values[name] === '' || !(value >= 0)) {
    console.error(`--${name} must be a number, not ${values[name]}`);
    process.exit(2);
  }
  return value;
};

const minutes = number('minutes');
const options = {
  seed: values.seed,
  seconds: minutes * 60,
  clients: number('clients'),
  documents: number('documents'),
  restarts: values.restarts === undefined ? Math.ceil(minutes / 2) : number('restarts'),
};
const processes = number('processes');
if (values.server !== undefined) {
  try {
    process.env.HUB_TEST_REDIS = serverProgram(values.server);
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}
if (processes === 1 && (values.sentinel || values.server)) {
  console.error('--sentinel and --server are for several processes: --processes 3');
  process.exit(2);
}
if (processes > 1) {
  const said = values.log && ((text) => fs.appendFileSync(values.log, text));
  options.stage = new SeveralProcesses({
    seed: options.seed,
    processes,
    kinds: values.kinds.split(','),
    isWatched: values.sentinel,
    said,
  });
}
ensureAddonBuilt();
console.log(
  `seed ${options.seed}: ${minutes} minutes, ${processes > 1 ? `processes: ${processes}` : `restarts: ${options.restarts}`}`,
);
const began = Date.now();
const progress = (line) => {
  const timed = `${String(Math.round((Date.now() - began) / 1000)).padStart(4)} s  ${line}`;
  console.log(timed);
  // Among what processes say, so that it is seen what that was about.
  if (values.log) fs.appendFileSync(values.log, `---- ${timed}\n`);
};
const { findings, ...found } = await runFaults({ ...options, progress });
console.log(JSON.stringify(found, null, 2));
for (const finding of findings.slice(0, 50)) console.log(`WRONG ${finding}`);
console.log(findings.length === 0 ? 'Nobody was told a lie.' : `${findings.length} findings; seed ${options.seed}`);
process.exit(findings.length === 0 ? 0 : 1);
