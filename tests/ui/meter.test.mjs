import assert from "node:assert/strict";
import { test } from "node:test";
import { Meter } from "../../ui/demo/meter.js";

/** @param {number[]} numbers */
const shown = (...numbers) => {
  const meter = new Meter();
  for (const number of numbers) meter.present(number);
  return meter;
};
const cue = (frame, now, more = {}) => ({ frame, shown: now, late: false, gap: false, ...more });

test("a cue on its own frame is right, one behind frames that were shown is late by their count", () => {
  const meter = shown(10, 11, 12, 13);
  assert.equal(meter.error(13, 13), 0);
  assert.equal(meter.error(12, 13), 1);
  assert.equal(meter.error(10, 13), 3);
});

test("a frame that was never shown counts for the next one that was", () => {
  const meter = shown(10, 11, 15);
  assert.equal(meter.error(13, 15), 0);
  assert.equal(meter.dropped, 3);
});

test("before its picture it is early, and that is never anybody else's fault", () => {
  const meter = shown(10, 11);
  assert.deepEqual(meter.cue(cue(14, 11, { late: true, gap: true })), { error: -3, kind: "even" });
  assert.equal(meter.early, 1);
  assert.equal(meter.worst, -3);
  assert.equal(meter.share, 0);
});

test("what its vendor or a break kept is counted apart", () => {
  const meter = shown(10, 11, 12, 13, 14);
  assert.equal(meter.cue(cue(10, 14, { late: true })).kind, "vendor");
  assert.equal(meter.cue(cue(10, 14, { gap: true })).kind, "gap");
  assert.equal(meter.cue(cue(14, 14, { late: true })).kind, "even");
  assert.equal(meter.cue(cue(12, 14)).kind, "even");
  assert.deepEqual([meter.count, meter.even, meter.byVendor, meter.caughtUp], [4, 2, 1, 1]);
  assert.deepEqual([...meter.histogram], [[0, 1], [2, 1]]);
  assert.equal(meter.worst, 2);
  assert.equal(meter.share, 0.5);
});

test("a picture that cannot be read judges nothing", () => {
  const meter = shown(10);
  assert.deepEqual(meter.cue(cue(10, null)), { error: null, kind: "unread" });
  assert.equal(meter.count, 0);
  assert.equal(meter.share, 1);
});

test("a jump of the encoder is no dropped frame; a seek backwards shows anew", () => {
  const meter = shown(10, 11, 80, 81);
  assert.equal(meter.dropped, 0);
  meter.present(11);
  assert.deepEqual(meter.shown, [10, 11]);
  meter.present(null);
  meter.present(11);
  assert.deepEqual(meter.shown, [10, 11]);
});

test("what is older than all that is remembered is late by its number", () => {
  assert.equal(shown(100, 101).error(50, 101), 51);
  const meter = new Meter();
  for (let number = 0; number < 10_000; number += 1) meter.present(number);
  assert.ok(meter.shown.length <= 2_250);
  assert.equal(meter.error(9_999, 9_999), 0);
});
