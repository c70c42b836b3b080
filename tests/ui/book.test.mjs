import assert from "node:assert/strict";
import { test } from "node:test";
import { Book } from "../../ui/demo/book.js";

let next = 0;
const play = (id, pts, more = {}) => ({
  o: (next += 1), id, rev: 1, kind: "new", cls: "locked", type: "play", tl: 0, pts, txt: id, frame: pts / 3_600, ...more,
});
const open = (mid, ver, milli) => ({
  cls: "reopen", type: "market", kind: "new", market: { mid, st: "open", spec: mid, ver }, price: { mid, ver, out: [{ oid: "home", milli }] },
});
const price = (mid, ver, milli) => ({ cls: "locked", type: "price", kind: "new", price: { mid, ver, out: [{ oid: "home", milli }] } });
const stop = (ver) => ({ cls: "safety", type: "suspend", scope: "event", ver });
const told = (...cues) => {
  const book = new Book();
  for (const cue of cues) book.add(cue);
  return book;
};

test("the score is what the play latest in the picture says, and falls back when that is taken back", () => {
  const book = told(play("a", 3_600, { score: { home: 1, away: 0 } }), play("b", 7_200, { score: { home: 1, away: 1 } }));
  assert.deepEqual(book.score, { home: 1, away: 1 });
  book.add(play("c", 5_000, { score: { home: 9, away: 9 } }));
  assert.deepEqual(book.score, { home: 1, away: 1 });
  book.add({ ...play("b", 9_000), rev: 2, kind: "retract", txt: undefined });
  assert.deepEqual(book.score, { home: 9, away: 9 });
  assert.deepEqual(book.plays.map(({ id, mark }) => [id, mark]), [["b", "taken back"], ["c", ""], ["a", ""]]);
});

test("a correction says what was said before, and an old revision says nothing", () => {
  const book = told(play("a", 3_600, { txt: "Novak shoots" }));
  book.add(play("a", 3_600, { rev: 3, kind: "amend", txt: "Reyes shoots" }));
  book.add(play("a", 3_600, { rev: 2, kind: "amend", txt: "Silva shoots" }));
  assert.equal(book.plays.length, 1);
  assert.deepEqual([book.plays[0].txt, book.plays[0].was, book.plays[0].mark], ["Reyes shoots", "Novak shoots", "corrected"]);
});

test("a late play stands where it happened", () => {
  const book = told(play("a", 3_600), play("c", 10_800), play("b", 7_200));
  assert.deepEqual(book.plays.map(({ id }) => id), ["c", "b", "a"]);
});

test("a suspend closes every market, and only a reopen above it opens one", () => {
  const book = told(open("winner-0", 3, 1_850), price("winner-0", 4, 1_900));
  const market = () => book.board()[0];
  assert.equal(book.statusOf(market()), "open");
  assert.deepEqual(market().out.get("home"), { milli: 1_900, move: 1 });
  book.add(stop(7));
  assert.equal(book.statusOf(market()), "suspended");
  book.add(price("winner-0", 6, 5_000));
  book.add(open("winner-0", 7, 5_000));
  assert.equal(book.statusOf(market()), "suspended");
  assert.equal(market().out.get("home").milli, 1_900);
  book.add(open("winner-0", 8, 1_700));
  assert.equal(book.statusOf(market()), "open");
  assert.deepEqual(market().out.get("home"), { milli: 1_700, move: -1 });
});

test("a suspend of one market leaves the others open", () => {
  const book = told(open("winner-0", 1, 1_850), open("total-0", 2, 1_850));
  book.add({ cls: "safety", type: "suspend", market: { mid: "total-0" }, ver: 5 });
  assert.deepEqual(book.board().map((market) => book.statusOf(market)), ["open", "suspended"]);
});

test("a settled market shows its result until its successor is quoted", () => {
  const book = told(open("next-0-0", 1, 1_850));
  book.add({ cls: "locked", type: "settle", kind: "new", settle: { mid: "next-0-0", ver: 2, results: [{ oid: "home", result: 1 }] } });
  assert.equal(book.statusOf(book.board()[0]), "settled");
  assert.equal(book.board()[0].results.get("home"), 1);
  book.add(open("next-0-1", 3, 2_000));
  assert.deepEqual(book.board().map(({ mid }) => mid), ["next-0-1"]);
});

test("a snapshot is the whole of it, but for the plays", () => {
  const book = told(play("a", 3_600, { score: { home: 3, away: 0 } }), open("total-0", 1, 1_850));
  book.begin({
    floor: { all: 9, closed: { "winner-0": 12 }, dead: {} },
    claims: { score: [[0, 900, 4, "x", { home: 0, away: 2 }]], clock: [[0, 900, 4, "x", { period: 1, ms: 4_000, run: true }]] },
    markets: { "winner-0": [10, 5, { mid: "winner-0", st: "open", spec: "Winner" }], "next-0-0": [11, 6, { mid: "next-0-0", st: "open" }] },
    prices: { "next-0-0": [11, 6, { mid: "next-0-0", out: [{ oid: "home", milli: 1_500 }] }] },
  });
  assert.deepEqual(book.score, { home: 0, away: 2 });
  assert.deepEqual(book.clock, { period: 1, ms: 4_000, run: true, frame: null });
  assert.deepEqual(book.board().map((market) => [market.mid, book.statusOf(market)]), [["winner-0", "suspended"], ["next-0-0", "open"]]);
  assert.equal(book.plays.length, 1);
});

test("the reason of a suspend is no play", () => {
  assert.deepEqual(told({ ...play("desk:~reason", 3_600), type: "suspend" }).plays, []);
});
