import assert from "node:assert/strict";
import test from "node:test";

import { Session } from "../../ui/sdk/session.js";

const beat = (more = {}) => ({ op: "hb", may_wager: true, cur: "c1", ...more });
const snap = (i, n, state) => ({ op: "snap", i, n, as_of: { tl: 1, pts: 9 }, cur: "c0", state });

function subscribed() {
  const session = new Session({ mode: "viewer", lead_ms: 250 });
  session.receive({ op: "sub", epoch: "e", resumed: false }, 0);
  session.receive(snap(1, 1, {}), 0);
  return session;
}

test("the first sub has no cursor, a later one goes on from the last", () => {
  const session = subscribed();
  assert.deepEqual(new Session({ mode: "viewer" }).sub(), { op: "sub", mode: "viewer" });
  assert.equal(session.sub().cur, "c0");
  session.receive(beat(), 0);
  assert.equal(session.sub().cur, "c1");
  session.receive({ op: "bye", cur: "c2" }, 0);
  assert.equal(session.sub().cur, "c2");
  session.receive({ op: "resync", why: "slow" }, 0);
  assert.equal("cur" in session.sub(), false);
});

test("each offset is told once, and offsets of another epoch mean something else", () => {
  const session = subscribed();
  const hear = (o) => session.receive({ op: "cue", o }, 0)?.value.o ?? null;
  assert.deepEqual([hear(1), hear(2), hear(1)], [1, 2, null]);
  session.receive({ op: "sub", epoch: "e", resumed: true }, 0);
  assert.equal(hear(2), null);
  session.receive({ op: "sub", epoch: "e2", resumed: false }, 0);
  assert.equal(hear(2), 2);
});

test("an older revision that comes behind a newer one is not told", () => {
  const session = subscribed();
  const hear = (o, id, rev, cls = "locked") => session.receive({ op: "cue", o, id, rev, cls }, 0)?.value.o ?? null;
  assert.equal(hear(9, "a:p3", 2), 9);
  // A server that began anew stands further back, where the correction is not yet due.
  session.receive({ op: "sub", epoch: "e", resumed: true }, 0);
  assert.deepEqual([hear(5, "a:p3", 1), hear(6, "a:p4", 1), hear(10, "a:p3", 3)], [null, 6, 10]);
  // Of the sequencer's own names every cue is told.
  assert.deepEqual([hear(11, "a:~m1", 3), hear(7, "a:~m1", 2)], [11, 7]);
  session.receive({ op: "resync", why: "slow" }, 0);
  assert.equal(hear(4, "a:p3", 1), 4);
  assert.equal(hear(12, "a:p3", 2), 12);
  session.receive({ op: "sub", epoch: "e2", resumed: false }, 0);
  assert.equal(hear(5, "a:p3", 1), 5);
});

test("a snapshot is told when all of its pieces have come", () => {
  const session = new Session({});
  session.receive({ op: "sub", epoch: "e", resumed: false }, 0);
  assert.equal(session.receive(snap(1, 2, { markets: { a: [1, 1, {}] }, score: { home: 1 } }), 0), null);
  assert.equal(session.cur, null);
  const told = session.receive(snap(2, 2, { markets: { b: [2, 2, {}] } }), 0);
  assert.deepEqual(told.value, {
    asOf: { tl: 1, pts: 9 },
    state: { markets: { a: [1, 1, {}], b: [2, 2, {}] }, score: { home: 1 } },
  });
});

test("three seconds without a heartbeat, and nothing may be bet", () => {
  const session = subscribed();
  assert.deepEqual([session.isStale(0), session.mayWager(0)], [true, false]);
  session.receive(beat(), 1_000);
  assert.deepEqual([session.isStale(4_000), session.mayWager(4_000)], [false, true]);
  assert.deepEqual([session.isStale(4_001), session.mayWager(4_001)], [true, false]);
  session.receive(beat({ may_wager: false }), 5_000);
  assert.deepEqual([session.isStale(5_000), session.mayWager(5_000)], [false, false]);
  session.receive(beat(), 6_000);
  session.receive({ op: "sub", epoch: "e", resumed: false }, 6_000);
  // What stands is not known before the snapshot is whole.
  assert.equal(session.mayWager(6_000), false);
});

test("it comes back with full jitter, or not at all", () => {
  const session = subscribed();
  session.receive(beat(), 0);
  assert.equal(session.waitMs(1006, 0, 0.5), 250);
  assert.equal(session.mayWager(1), false);
  assert.equal(session.waitMs(4413, 2_000, 0.5), 2_500);
  for (let attempt = 0; attempt < 20; attempt += 1) session.waitMs(1006, 0, 0);
  assert.equal(session.waitMs(1006, 0, 0.999), 0.999 * 30_000);
  session.receive(beat(), 0);
  assert.equal(session.waitMs(1006, 0, 1), 500);
  assert.deepEqual([4501, 4999, 3500].map((code) => session.waitMs(code, 0, 0.5)), [null, null, null]);
});

test("what is remembered is bounded", () => {
  const session = subscribed();
  for (let o = 0; o <= 200_000; o += 1) session.receive({ op: "cue", o }, 0);
  assert.equal(session.seen.size, 200_000);
});
