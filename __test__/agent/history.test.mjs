// What is kept of a stream for those who come back.
import assert from 'node:assert/strict';
import test from 'node:test';
import { History } from '../../js/agent/history.js';

function filled(count, { maxBytes = 1e9, maxChunks = 1e9, size = 10, neededSeq = Infinity } = {}) {
  const history = new History(maxBytes, maxChunks);
  for (let seq = 1; seq <= count; seq += 1) {
    history.push(`frame ${seq}`, size);
    history.trim(neededSeq);
  }
  return history;
}

function kept(history) {
  const frames = [];
  for (let seq = history.first; seq <= history.seq; seq += 1) frames.push(history.frame(seq));
  return frames;
}

test('frames are found by their seq', () => {
  const history = filled(3);
  assert.deepEqual([history.first, history.seq], [1, 3]);
  assert.deepEqual(kept(history), ['frame 1', 'frame 2', 'frame 3']);
});

test('there is nothing before the first frame, and none to come', () => {
  const history = filled(0);
  assert.deepEqual([history.first, history.seq], [1, 0]);
  assert.equal(history.frame(0), undefined);
  assert.equal(history.frame(1), undefined);
});

test('the oldest frames leave when there are too many', () => {
  const history = filled(10, { maxChunks: 3 });
  assert.deepEqual(kept(history), ['frame 8', 'frame 9', 'frame 10']);
  assert.equal(history.frame(7), undefined);
});

test('the oldest frames leave when they are too long together', () => {
  const history = filled(10, { maxBytes: 45, size: 10 });
  assert.deepEqual([history.first, history.bytes], [7, 40]);
});

test('the newest frame stays, however long', () => {
  const history = filled(4, { maxBytes: 1, size: 100 });
  assert.deepEqual(kept(history), ['frame 4']);
});

test('what somebody still needs stays, whatever the bounds', () => {
  const history = filled(100, { maxChunks: 5, neededSeq: 40 });
  assert.equal(history.first, 40);
  history.trim(60);
  assert.equal(history.first, 60);
  history.trim(Infinity);
  assert.equal(history.first, 96);
});

test('thousands of frames come and go without mixing up their numbers', () => {
  const history = new History(1e9, 100);
  for (let seq = 1; seq <= 5000; seq += 1) {
    history.push(`frame ${seq}`, 1);
    history.trim(Infinity);
    assert.equal(history.frame(seq), `frame ${seq}`);
    assert.equal(history.frame(history.first), `frame ${history.first}`);
    assert.equal(history.frame(history.first - 1), undefined);
    assert.equal(history.bytes, Math.min(seq, 100));
  }
});
