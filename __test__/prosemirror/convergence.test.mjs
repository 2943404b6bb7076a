// Many editors, cut and killed, end with one document. CONVERGENCE_RUNS says how many runs (2), CONVERGENCE_SEED with which
// seed the first begins, CONVERGENCE_EDITORS how many editors each has (8). AUTHORITY names the server: support/authority.mjs.
import test from 'node:test';
import { startProcess } from '../support/authority.mjs';
import { converge } from '../support/convergence.mjs';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const runs = number('CONVERGENCE_RUNS', 2);
const first = number('CONVERGENCE_SEED', 1);
const count = number('CONVERGENCE_EDITORS', 8);

for (let seed = first; seed < first + runs; seed += 1) {
  test(`${count} editors, cut and killed, end with one document, and each word once: seed ${seed}`, async (t) => {
    t.diagnostic(JSON.stringify(await converge({ seed, startProcess, count })));
  });
}
