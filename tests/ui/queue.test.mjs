import assert from "node:assert/strict";
import test from "node:test";

import { Frames } from "../../ui/sdk/frames.js";
import { Queue } from "../../ui/sdk/queue.js";

const S = 90_000;

function playing() {
  const frames = new Frames();
  frames.add({ msn: 5, start: 0, cc: 0, base: 0 });
  return { frames, queue: new Queue(frames) };
}

const cue = (o, seconds) => ({ kind: "cue", value: { o, msn: 5, pts: seconds * S } });
const state = (seconds) => ({ kind: "state", value: { asOf: { tl: 0, pts: seconds * S }, state: {} } });
const told = (items) => items.map(({ kind, value }) => value.o ?? kind);

test("each waits for its picture, in the order in which they came", () => {
  const { frames, queue } = playing();
  for (const item of [cue(1, 1), cue(2, 1.2), cue(3, 1.1)]) queue.push(item);
  assert.deepEqual(told(queue.take(frames.at(0.96))), []);
  assert.deepEqual(told(queue.take(frames.at(1.12))), [1, 3]);
  assert.deepEqual(told(queue.take(frames.at(5))), [2]);
});

test("a state waits for its last picture, and nothing overtakes it", () => {
  const { frames, queue } = playing();
  queue.push(state(1));
  queue.push(cue(1, 0.5));
  assert.deepEqual(told(queue.take(frames.at(0.8))), []);
  assert.deepEqual(told(queue.take(frames.at(1))), ["state", 1]);
});

test("a state of another discontinuity, or of nothing, is told at once", () => {
  const { frames, queue } = playing();
  queue.push({ kind: "state", value: { asOf: null, state: {} } });
  queue.push(state(4_000));
  queue.push(state(0.1));
  assert.deepEqual(told(queue.take(frames.at(0.8))), ["state", "state", "state"]);
});

test("at the end all is told; what will come again is forgotten", () => {
  const { queue } = playing();
  queue.push(cue(1, 99));
  assert.deepEqual(told(queue.take(null)), [1]);
  queue.push(cue(2, 99));
  queue.clear();
  assert.deepEqual(told(queue.take(null)), []);
});

test("what comes while another showing is on show waits until it is over", () => {
  const { frames, queue } = playing();
  frames.addOther(2);
  queue.push(cue(1, 1.5));
  assert.deepEqual(told(queue.take(frames.at(2.5))), [1]);
  queue.push({ kind: "cue", value: { o: 2, msn: 8, pts: 0 } });
  queue.push(state(6));
  assert.deepEqual(told(queue.take(frames.at(3))), []);
  frames.add({ msn: 8, start: 6, cc: 2, base: 0 });
  assert.deepEqual(told(queue.take(frames.at(6))), [2, "state"]);
});
