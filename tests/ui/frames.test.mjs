import assert from "node:assert/strict";
import test from "node:test";

import { Frames, msnOf, ticksFrom } from "../../ui/sdk/frames.js";

const WRAP = 2 ** 33;
const S = 90_000;

test("a segment's number is in its name, whatever stands before and behind it", () => {
  assert.equal(msnOf("https://a.example/hls/x.y.z/game/main/0-17.ts"), 17);
  assert.equal(msnOf("v0/3-1234567.m4s?x=1#t"), 1234567);
  assert.equal(msnOf("0-5.ts"), 5);
  for (const url of ["https://a.example/17.ts", "main/x-17.ts", "0-17", "init-0123456789abcdef.mp4", ""]) {
    assert.equal(msnOf(url), null, url);
  }
});

test("steps are signed, through the wrap and for unwrapped times", () => {
  assert.equal(ticksFrom(10, 25), 15);
  assert.equal(ticksFrom(25, 10), -15);
  assert.equal(ticksFrom(WRAP - 5, 10), 15);
  assert.equal(ticksFrom(10, WRAP - 5), -15);
  assert.equal(ticksFrom(3 * WRAP + 7, 9), 2);
  assert.equal(ticksFrom(-7, WRAP - 9), -2);
});

test("a frame is the picture that its segment's base makes it", () => {
  const frames = new Frames();
  assert.equal(frames.at(1), null);
  frames.add({ msn: 7, start: 10, cc: 0, base: WRAP - 11 * S });
  frames.add({ msn: 8, start: 12, cc: 1, base: 500 * S });
  assert.equal(frames.at(9.9), null);
  assert.deepEqual(frames.at(10.04), { msn: 7, cc: 0, pts: WRAP - 0.96 * S });
  // Behind the wrap the counter begins anew.
  assert.deepEqual(frames.at(11.5), { msn: 7, cc: 0, pts: 0.5 * S });
  // A frame at a segment's very start is told with a few microseconds less.
  assert.deepEqual(frames.at(11.9995), { msn: 8, cc: 1, pts: 511.9995 * S });
  assert.deepEqual(frames.at(99), { msn: 8, cc: 1, pts: 599 * S });
});

test("what another showing's segments show is none of ours, and lies behind the last of ours", () => {
  const frames = new Frames();
  frames.addOther(4);
  assert.deepEqual(frames.at(5), { msn: null, cc: 0, pts: 0, away: true });
  assert.equal(frames.reached({ msn: 3, pts: 0 }, frames.at(5)), false);
  frames.add({ msn: 7, start: 10, cc: 2, base: WRAP - 11 * S });
  for (const start of [14, 12, 14]) frames.addOther(start);
  frames.add({ msn: 11, start: 16, cc: 4, base: 500 * S });
  assert.deepEqual(frames.at(11), { msn: 7, cc: 2, pts: 0 });
  const place = { msn: 7, cc: 2, pts: S, away: true };
  for (const mediaTime of [12, 13.9, 15.9]) assert.deepEqual(frames.at(mediaTime), place);
  assert.deepEqual(frames.at(16), { msn: 11, cc: 4, pts: 516 * S });
  assert.deepEqual([6, 7, 8, 11].map((msn) => frames.reached({ msn, pts: 0 }, place)), [true, true, false, false]);
  frames.clear();
  assert.equal(frames.at(13), null);
});

test("a segment may come again, earlier ones later, and only so many are kept", () => {
  const frames = new Frames();
  frames.add({ msn: 9, start: 14, cc: 0, base: 0 });
  frames.add({ msn: 7, start: 10, cc: 0, base: 0 });
  frames.add({ msn: 8, start: 12, cc: 0, base: 0 });
  frames.add({ msn: 8, start: 12.02, cc: 0, base: 5 });
  assert.deepEqual(frames.segments.map(({ msn, base }) => [msn, base]), [[7, 0], [8, 5], [9, 0]]);
  for (let msn = 10; msn < 4_000; msn += 1) frames.add({ msn, start: msn * 2, cc: 0, base: 0 });
  assert.equal(frames.segments.length, 3_600);
  assert.equal(frames.byMsn.size, 3_600);
  frames.clear();
  assert.equal(frames.at(4_000), null);
});

test("a cue is reached on its frame, not before, on either side of wrap and discontinuity", () => {
  const frames = new Frames();
  frames.add({ msn: 7, start: 10, cc: 0, base: WRAP - 11 * S });
  frames.add({ msn: 8, start: 12, cc: 1, base: 500 * S });
  const cue = { msn: 7, pts: 5 * WRAP + 0.2 * S };
  const reached = (mediaTime) => frames.reached(cue, frames.at(mediaTime));
  assert.deepEqual([10, 11.16, 11.2, 11.24, 12.5].map(reached), [false, false, true, true, true]);
  // It stands behind a discontinuity: its counter says nothing before that.
  const next = { msn: 8, pts: 512 * S };
  assert.equal(frames.reached(next, frames.at(11.96)), false);
  assert.equal(frames.reached(next, frames.at(12)), true);
});

test("of a segment that was never loaded the number tells, and what is pinned to nothing waits for nothing", () => {
  const frames = new Frames();
  frames.add({ msn: 7, start: 10, cc: 0, base: 0 });
  const place = frames.at(11);
  assert.equal(frames.reached({ msn: 6, pts: 99 * S }, place), true);
  assert.equal(frames.reached({ msn: 8, pts: 1 }, place), false);
  assert.equal(frames.reached({}, place), true);
  assert.equal(frames.reached({ msn: null, pts: null }, place), true);
});
