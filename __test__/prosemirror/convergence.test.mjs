// Many editors, cut and killed, end with one document. CONVERGENCE_RUNS says how many runs (2), CONVERGENCE_SEED with which
// seed the first begins, CONVERGENCE_EDITORS how many editors each has (8). AUTHORITY names the server: support/authority.mjs.
import test from 'node:test';
import { startProcess } from '../support/authority.mjs';
import { converge } from '../support/convergence.mjs';

// Of so many connections that were reset in the middle of something Node sometimes waits for one for ever when it takes itself
// down, with nothing left to do. So it ends here, where all has been told.
process.once('exit', (code) => process.exit(code));

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const runs = number('CONVERGENCE_RUNS', 2);
const first = number('CONVERGENCE_SEED', 1);
const count = number('CONVERGENCE_EDITORS', 8);

for (let seed = first; seed < first + runs; seed += 1) {
  test(`${count} editors, cut and killed, end with one document, and each word once: seed ${seed}`, async (t) => {
    t.diagnostic(JSON.stringify(await converge({ seed, startProcess, count })));
  });
}
