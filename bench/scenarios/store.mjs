// What the store of documents costs on this disk, beside what the disk itself does: benches/store.rs, in rounds of its own.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { root } from '../lib/paths.mjs';

async function measure() {
  const args = ['bench', '--locked', '--quiet', '--no-default-features', '--bench', 'store'];
  const { stdout } = await promisify(execFile)('cargo', args, { cwd: root });
  return Object.fromEntries(
    [...stdout.matchAll(/^(.+): (\d+\.\d+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}

export default {
  id: 'store',
  title: 'the store of documents',
  rounds: 1,
  runs: { hub: { measure } },
  rows: ({ hub: [measured] }) => [
    {
      what: 'a commit for each batch ÷ the store, batches a second of 1,000 documents',
      target: 1 / 20,
      reached: 1 / measured['together / a commit each'],
    },
    {
      what: 'one document, p99 of a stored batch ÷ a bare write and sync',
      target: 1.5,
      reached: measured['one document p99 / sync p99'],
    },
  ],
  figures: ({ hub: [measured] }) =>
    Object.entries(measured)
      .filter(([name]) => !name.includes(' / '))
      .map(([name, value]) => {
        const [what, unit = ''] = name.split(/, (?=[^,]+$)/);
        return { server: 'hub', what: `store: ${what}`, value, unit };
      }),
};
