import assert from 'node:assert/strict';
import test from 'node:test';
import { differences, middle, parseCallgrind, perRepetition, sum } from '../scripts/callgrind.mjs';

const OUT = `# callgrind format
events: Ir
fn=(1) captify_hub::room::send
12 300
cfn=(2) malloc
calls=3 0
12 90
cfn=(4) tokio::runtime::task::raw::poll
calls=2 0
12 5
fn=(2)
1 90
cfn=(3) send
calls=1 0
2 10
fn=(3)
1 10
cfn=(2)
calls=4 0
1 7

totals: 402
`;
const nothing = { instructions: 0, allocations: 0, writes: 0, reads: 0, waits: 0, polls: 0 };

test('calls are counted by the name of what is called, also where the name was given before', () => {
  const expected = { ...nothing, instructions: 402, allocations: 7, writes: 1, polls: 2 };
  assert.deepEqual(parseCallgrind(OUT), expected);
});

test('what both runs did once does not count', () => {
  const fewer = sum([
    { ...nothing, instructions: 1000 },
    { ...nothing, allocations: 5 },
  ]);
  const more = { ...nothing, instructions: 3000, allocations: 25 };
  assert.deepEqual(perRepetition(fewer, more, 10), { ...nothing, instructions: 200, allocations: 2 });
});

test('of three countings the middle one counts, each count by itself', () => {
  const countings = [
    { ...nothing, instructions: 65, waits: 0.1 },
    { ...nothing, instructions: 71, waits: 0 },
    { ...nothing, instructions: 64, waits: 0.02 },
  ];
  assert.deepEqual(middle(countings), { ...nothing, instructions: 65, waits: 0.02 });
});

test('one more allocation a delivery is a difference, and so is one fewer', () => {
  const recorded = { ...nothing, instructions: 200, allocations: 1 };
  assert.deepEqual(differences(recorded, { ...recorded, allocations: 2 }), [
    { what: 'allocations', recorded: 1, counted: 2, grew: true },
  ]);
  assert.equal(differences(recorded, { ...recorded, allocations: 0 })[0].grew, false);
});

test('a little is no difference', () => {
  const recorded = { ...nothing, instructions: 200, allocations: 0.03 };
  assert.deepEqual(differences(recorded, { ...recorded, instructions: 209, allocations: 0.06 }), []);
  assert.equal(differences(recorded, { ...recorded, instructions: 211 }).length, 1);
});

test('a count that hangs on which thread is first may differ by more', () => {
  const recorded = { ...nothing, instructions: 1000 };
  assert.deepEqual(differences(recorded, { ...recorded, instructions: 1100 }, { instructions: 0.12 }), []);
});
