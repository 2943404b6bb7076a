// Small pieces of text are merged, and nothing else is touched.
import assert from 'node:assert/strict';
import test, { beforeEach, describe, mock, afterEach } from 'node:test';
import { RollUp } from '../../js/agent/roll-up.js';

let emitted;
let rollUp;

describe('a roll-up with a window of 25 ms', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    emitted = [];
    rollUp = new RollUp(25, Infinity, (chunk) => emitted.push(chunk));
  });
  afterEach(() => mock.timers.reset());

  const delta = (text, id = '1', type = 'text-delta') => ({ type, id, delta: text });

  test('the first piece leaves at once', () => {
    rollUp.push('a');
    assert.deepEqual(emitted, ['a']);
  });

  test('pieces within the window leave together when it ends', () => {
    for (const piece of ['a', 'b', 'c']) rollUp.push(piece);
    assert.deepEqual(emitted, ['a']);
    mock.timers.tick(25);
    assert.deepEqual(emitted, ['a', 'bc']);
  });

  test('after a window in which nothing came the next piece leaves at once again', () => {
    rollUp.push('a');
    mock.timers.tick(25);
    rollUp.push('b');
    assert.deepEqual(emitted, ['a', 'b']);
  });

  test('after a window in which something came the next one follows it', () => {
    rollUp.push('a');
    rollUp.push('b');
    mock.timers.tick(25);
    rollUp.push('c');
    assert.deepEqual(emitted, ['a', 'b']);
    mock.timers.tick(25);
    assert.deepEqual(emitted, ['a', 'b', 'c']);
  });

  test('flush sends what waits', () => {
    rollUp.push('a');
    rollUp.push('b');
    rollUp.flush();
    assert.deepEqual(emitted, ['a', 'b']);
    mock.timers.tick(100);
    assert.deepEqual(emitted, ['a', 'b']);
  });

  test('deltas of the AI SDK are merged by their id and type', () => {
    rollUp.push(delta('a'));
    rollUp.push(delta('b'));
    rollUp.push(delta('c'));
    rollUp.push(delta('d', '2'));
    rollUp.push(delta('e', '2', 'reasoning-delta'));
    mock.timers.tick(25);
    assert.deepEqual(emitted, [delta('a'), delta('bc'), delta('d', '2'), delta('e', '2', 'reasoning-delta')]);
  });

  test('a delta that carries more than text passes through as it is', () => {
    const marked = { ...delta('b'), providerMetadata: { model: { signature: 's' } } };
    rollUp.push(delta('a'));
    rollUp.push(delta('x'));
    rollUp.push(marked);
    assert.deepEqual(emitted, [delta('a'), delta('x'), marked]);
  });

  test('every other chunk is passed on untouched, behind the text before it', () => {
    const others = [
      { type: 'tool-input-delta', toolCallId: 't', inputTextDelta: '{' },
      7,
      null,
      ['x'],
      { type: 'finish' },
    ];
    rollUp.push('a');
    rollUp.push('b');
    for (const other of others) rollUp.push(other);
    assert.deepEqual(emitted, ['a', 'b', ...others]);
  });

  test('a long run of text does not wait for its window', () => {
    rollUp.push('a');
    for (let piece = 0; piece < 20; piece += 1) rollUp.push('x'.repeat(1000));
    assert.equal(emitted.length, 2);
    rollUp.flush();
    assert.equal(emitted.join(''), `a${'x'.repeat(20_000)}`);
  });

  test('the merged pieces are the text, whatever their sizes', () => {
    const pieces = Array.from({ length: 500 }, (_, index) => '…é𝄞a'.repeat(index % 7));
    for (const [index, piece] of pieces.entries()) {
      rollUp.push(piece);
      if (index % 11 === 0) mock.timers.tick(13);
    }
    rollUp.flush();
    assert.equal(emitted.join(''), pieces.join(''));
    assert.ok(emitted.length < pieces.length / 4, `${emitted.length} chunks`);
  });

  test('stop leaves no timer and emits nothing more', () => {
    rollUp.push('a');
    rollUp.push('b');
    rollUp.stop();
    mock.timers.tick(100);
    assert.deepEqual(emitted, ['a']);
  });
});

test('a window of 0 passes every chunk through', () => {
  const passed = [];
  const none = new RollUp(0, Infinity, (chunk) => passed.push(chunk));
  for (const piece of ['a', 'b', 'c']) none.push(piece);
  assert.deepEqual(passed, ['a', 'b', 'c']);
});
