// Many editors over several processes and one Redis, cut and killed, end with one document. CONVERGENCE_RUNS says how many runs
// (2), CONVERGENCE_SEED with which seed the first begins, CONVERGENCE_EDITORS how many editors each has (8),
// CONVERGENCE_PROCESSES over how many processes (2).
import assert from 'node:assert/strict';
import test from 'node:test';
import { startProcesses } from '../support/authority.mjs';
import { converge } from '../support/convergence.mjs';
import { startRedis } from '../support/redis.mjs';

// As in convergence.test.mjs.
process.once('exit', (code) => process.exit(code));

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const runs = number('CONVERGENCE_RUNS', 2);
const first = number('CONVERGENCE_SEED', 1);
const count = number('CONVERGENCE_EDITORS', 8);
const processes = number('CONVERGENCE_PROCESSES', 2);

for (let seed = first; seed < first + runs; seed += 1) {
  test(`${count} editors on ${processes} processes, cut and killed, end with one document: seed ${seed}`, async (t) => {
    const { url } = await startRedis(t);
    const startProcess = () => startProcesses(url, processes);
    t.diagnostic(JSON.stringify(await converge({ seed, startProcess, count })));
  });
}

test('what a route handler of one process submits, one of another reads, also where nobody has it open', async (t) => {
  const { url } = await startRedis(t);
  const all = await startProcesses(url, 2);
  t.after(() => all.close());
  const [one, two] = all.processes.map(({ port }) => `http://127.0.0.1:${port}`);
  const read = async (base) => (await fetch(`${base}/note`)).json();
  const put = (text, at) => ({
    stepType: 'replace',
    from: at,
    to: at,
    slice: { content: [{ type: 'text', text }] },
  });
  const submit = (base, version, step) =>
    fetch(`${base}/steps`, {
      method: 'POST',
      body: JSON.stringify({ documentId: 'note', version, steps: [step] }),
    });
  for (let version = 0; version < 10; version += 1) {
    const [here, there] = version % 2 === 0 ? [one, two] : [two, one];
    assert.equal((await submit(here, version, put(String(version), 1 + version))).status, 200);
    assert.equal((await submit(there, version, put('x', 1))).status, 409, 'its version is old by then');
    const { doc, version: now } = await read(there);
    assert.equal(now, version + 1);
    assert.equal(doc.content[0].content[0].text, '0123456789'.slice(0, now));
  }
});
