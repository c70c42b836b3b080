"""Planted bugs: the test of the test. Each is a small change to a copy of the sources that the simulator must find.

`python -m tests.sim.bugs` plants them one by one and says which seed finds each; `--only NAME` plants one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("kernel", "feeds", "hub", "relay", "lockstep", "tests")
SEEDS = 200
"""Within how many seeds a bug must be found."""

_ON_DISK = (
    "            await self._journal.seal(self._stream, [_row(item) for item in rows], kept=kept, settled=done)\n"
)
_COUNTED = "            del self._unsealed[: len(rows)]\n            del self._loose[: len(loose)]\n"
_ON_THE_BUS = "            self._publish([item.entry for item in rows if item.entry.due is not None])\n"
_NEWEST = "            for entry in newest_revisions(owed)\n"
_OWED = "            for entry in owed\n"
_WITHHELD = "            if not withhold(entry.cue.type, entry.cue.cls, entry.cue.body)\n"
_SUPERSEDED = "            and not backlog.is_superseded(entry, frontier)\n"
_SETS_ASIDE = "        set_aside: dict[int, Subscriber] = {}\n"
_FLUSH = "        for delivery in stream.take_deliveries():\n"
_PAUSED = "        if any(one.paused_at is not None for one in stream.subscribers.values()):\n            return\n"


@dataclass(frozen=True)
class Bug:
    """A change: `old`, which stands in the file exactly once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


BUGS = (
    Bug(
        "frontier-a-tick-too-far", "hub/frontier.py", "return END if self._edge.ended else self._edge.upto",
        "return END if self._edge.ended else type(END)(self._edge.upto.timeline, self._edge.upto.pts + 1)",
    ),
    Bug(
        "cues-sealed-after-the-mark", "feeds/io/ingest.py",
        "self._reserve_timelines(timed.timing.timeline), self.log.seal())",
        "self._reserve_timelines(timed.timing.timeline))",
    ),
    Bug("safety-moves-the-cursor", "hub/stream.py", "if entry.o == self._backlog.through:", "if True:"),
    Bug(
        "late-facts-not-resumed", "hub/ledger.py", "return sorted(late, key=place_of) + owed if late else owed",
        "return owed",
    ),
    Bug("superseded-revision-sent", "hub/cohort.py", _NEWEST + _WITHHELD + _SUPERSEDED, _OWED + _WITHHELD),
    Bug("floor-not-raised-by-inv", "hub/floors.py", "elif type_ == CueType.INV:", "elif False:"),
    Bug(
        "conflated-price-lost", "hub/arrears.py", "waiting = cohort.waiting(subscriber)\n        cohort.remove",
        "waiting: list[object] = []\n        cohort.remove",
    ),
    Bug(
        "cursor-passes-a-price-that-waits", "hub/cohort.py",
        "return self.cursor if held is None or held >= self.cursor.upto else self.cursor._replace(upto=held)",
        "return self.cursor",
    ),
    Bug("heart-beats-half-as-often", "hub/pulse.py", "subscriber.heartbeat_at = now + subscriber.heartbeat_s",
        "subscriber.heartbeat_at = now + 2 * subscriber.heartbeat_s",
    ),
    Bug(
        "snapshot-beyond-the-frontier", "hub/cohort.py",
        "state, known = State(self._floors), self._backlog.before(self.cursor.upto)",
        "state, known = State(self._floors), self._backlog.before(type(self.cursor.upto)(1 << 62, 0))",
    ),
    Bug(
        "offset-reused-after-a-crash", "feeds/io/log_writer.py",
        "self._sequencer.next_offset = self._reserved = record.reserved_o",
        "self._sequencer.next_offset = self._reserved = max((row.entry.o for row in record.entries), default=-1) + 1",
    ),
    Bug("on-the-bus-before-the-disk", "feeds/io/log_writer.py", _ON_DISK + _COUNTED + _ON_THE_BUS,
        _ON_THE_BUS + _ON_DISK + _COUNTED,
    ),
    Bug(
        "timeline-not-persisted", "feeds/stream.py",
        '"tracker": tracker.as_json() if tracker and tracker.end == placed.end else',
        '"tracker": None if tracker else',
    ),
    Bug(
        "wrap-taken-for-a-discontinuity", "feeds/timing.py",
        "return int(unwrap(lead.start, expected)) if media.wraps else lead.pts[0]", "return int(lead.start)",
    ),
    Bug(
        "retracted-fact-comes-back", "feeds/revisions.py",
        "known.retracted = op is Op.RETRACT\n            if op is Op.RETRACT:\n",
        "if op is Op.RETRACT:\n                del self._known[key]\n",
    ),
    Bug("hold-jumps", "feeds/release.py", "step_s = SLEW * s_of_ticks", "step_s = 20 * SLEW * s_of_ticks"),
    Bug("slow-reader-delays-others", "hub/io/outbox.py", _SETS_ASIDE + _FLUSH, _SETS_ASIDE + _PAUSED + _FLUSH),
    Bug(
        "safety-held-by-a-pause", "hub/stream.py", "everybody = tuple(self.subscribers.values())",
        "everybody = tuple(one for one in self.subscribers.values() if one.paused_at is None)",
    ),
    Bug(
        "group-count-off", "hub/group.py", "subscriber.sent += self.cues - subscriber.counted_from",
        "subscriber.sent += 0",
    ),
    Bug(
        "epoch-kept-after-a-lost-end", "feeds/io/journal.py",
        "lost=seen.epoch != known.epoch or seen.o > known.o", "lost=False",
    ),
    Bug(
        "reopen-below-the-floor", "hub/floors.py", "if type_ != CueType.PRICE and cls != CueClass.REOPEN:",
        "if type_ != CueType.PRICE:",
    ),
    Bug(
        "silence-does-not-suspend", "hub/wagering.py",
        "down = any(one.state is Health.DOWN for one in self.feeds.values())", "down = False",
    ),
    Bug("stall-does-not-suspend", "hub/wagering.py", " and (stalls_at is None or now < stalls_at)", ""),
    Bug(
        "settled-before-it-is-sealed", "feeds/sequencer.py",
        "if n_waiting:\n            offer.settled = False\n", "if n_waiting:\n",
    ),
    Bug("opened-before-its-time", "relay/window.py", "self._marks[0].at <= now and ", ""),
    Bug(
        "playhead-not-clamped", "hub/playhead.py",
        "min(shown_at(self._edge, self._path, ahead), allowed))", "shown_at(self._edge, self._path, ahead))",
    ),
    Bug(
        "a-lie-is-believed", "hub/playhead.py", "allowed = self.honest.frontier(now) if limit is None else limit",
        "allowed = END if limit is None else limit",
    ),
    Bug("a-third-counts-as-served", "relay/served.py", "if 2 * (stop - start) >= length:",
        "if 4 * (stop - start) >= length:",
    ),
    Bug("silent-viewer-ahead", "hub/frontier.py", "HOLD_BACK_TARGET_DURATIONS = 3", "HOLD_BACK_TARGET_DURATIONS = 2"),
    Bug(
        "recording-runs-ahead", "hub/frontier.py", "self._t, self._x = now, self._path.begin_x",
        "self._x = self._path.begin_x + self._edge.target_ticks // 4\n            self._t = now",
    ),
    Bug(
        "resumed-recording-goes-back", "hub/subscriber.py",
        "if told is None or (cursor.o >= told.o and cursor.upto >= told.upto):", "if True:",
    ),
    Bug(
        "revoked-body-goes-on", "relay/io/flights.py", 'self._cut(self._grants.find(subject), "revoked")',
        'self._cut([], "revoked")',
    ),
    Bug(
        "revoked-socket-not-cut", "hub/io/driver.py",
        "patience_s = self.settings.cut_after_s if subscriber.revoked else self.settings.close_timeout_s",
        "patience_s = self.settings.close_timeout_s",
    ),
    Bug(
        "revocation-lost-in-a-restart", "relay/io/revocation_desk.py",
        "while changes := await self._store.changes(after, REFILL_STEP):",
        "while changes := (await self._store.changes(after, REFILL_STEP))[1:]:",
    ),
    Bug("undone-and-still-revoked", "kernel/revocation.py", "changed = table.remove(value)",
        "changed = bool(table.until(value))",
    ),
    Bug(
        "hidden-source-shown", "hub/subscriber.py",
        'return not self.hidden or cue.id.partition(":")[0] not in self.hidden', "return True",
    ),
    Bug(
        "old-copy-taken-for-a-rewind", "kernel/follow.py",
        "(bool(self._former) and self._is_former(playlist, refs, now)) or self._leaps(playlist, now)", "False",
    ),
    Bug(
        "dead-socket-stops-all-hearts", "hub/io/driver.py",
        "self._outbox.say(subscriber, self._heartbeat(subscriber))\n        self._set_beat",
        "subscriber.write(self._heartbeat(subscriber))\n        self._set_beat",
    ),
    Bug(
        "nod-makes-a-correction-void", "feeds/revisions.py",
        "fact.rev <= (known.heard if _is_nod(fact) else known.told)", "fact.rev <= known.rev",
    ),
    Bug(
        "missed-segments-not-counted", "feeds/stream.py",
        "self._unread_s += self._missed_s(found.key) + found.segment.duration_s",
        "self._unread_s += found.segment.duration_s",
    ),
    Bug(
        "utc-told-and-not-published", "feeds/utc_line.py", "                self.published.add(seen.start, between)\n",
        "                pass\n",
    ),
    Bug(
        "mark-opens-another-segment", "relay/window.py", "if self._is_another(block, real) and not whatever:",
        "if False:",
    ),
    Bug(
        "timing-refused-and-forgotten", "feeds/io/ingest.py", "            self._is_unkept.set()\n            raise\n",
        "            raise\n",
    ),
    Bug(
        "timelines-numbered-again", "feeds/io/ingest.py", "self.feed.first_timeline = record.reserved_timeline",
        "self.feed.first_timeline = 0",
    ),
    Bug(
        "put-back-and-not-found-out", "feeds/io/journal.py", " or seen.ver > known.ver", "",
    ),
    Bug(
        "dark-segment-served", "relay/io/hls.py",
        "return named.key is not None and relay.is_dark(rendition, SegmentKey(*named.key), zones)", "return False",
    ),
    Bug("cues-go-on-in-the-dark", "hub/cohort.py", "return frontier if begins is None else begins", "return frontier"),
    Bug(
        "blackout-lost-in-a-restart", "relay/io/blackout_desk.py",
        "                for _, record in kept:\n                    self._publish(record)\n", "",
    ),
    Bug("ended-blackout-goes-on", "relay/blackouts.py", "if self._known.pop(name, None) is not None:", "if False:"),
    Bug("dark-cues-are-owed", "hub/arrears.py", "elif cohort.hides(subscriber.behind.upto):", "elif False:"),
    Bug(
        "edge-dropped-by-the-origin", "relay/presentation.py", " or place_lost(listing.items, number)", "",
    ),
    Bug(
        "sent-away-and-revoked", "hub/io/driver.py", "            if bye.code in CUT:\n                hasten",
        "            if False:\n                hasten",
    ),
    Bug("outdated-revision-shown", "hub/client.py", "if rev < corrected.get(id_, 0):", "if False:"),
    Bug("unseen-copy-taken-for-a-rewind", "kernel/follow.py", "below_s > FORMER_S", "below_s >= 0"),
    Bug("put-back-with-prices-only", "feeds/markets.py", "if not sources:", "if not book.markets:"),
)  # fmt: skip
"""Those at the end were real: the simulator found them."""


@dataclass(frozen=True)
class Found:
    """Which seed found a bug, and by what; None where no seed did."""

    bug: Bug
    seed: int | None
    violation: str
    took_s: float


def plant(bug: Bug, folder: Path) -> None:
    """Change a copy of the sources.

    Raises:
        ValueError: the text to be replaced does not stand there exactly once.
    """
    path = folder / bug.file
    text = path.read_text("utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: its text stands {text.count(bug.old)} times in {bug.file}")
    path.write_text(text.replace(bug.old, bug.new), "utf-8")


def hunt(bug: Bug, *, first: int = 0, seeds: int = SEEDS) -> Found:
    """Plant a bug in a copy and let the simulator look for it."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bug-") as name:
        folder = Path(name)
        for part in COPIED:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "e2e"))
        plant(bug, folder)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-B", "-m", "tests.sim", "--seeds", f"{first}-{first + seeds - 1}", "--brief"],
            cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(folder)},
        )  # fmt: skip
        took_s = time.perf_counter() - began
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr[-300:]]
    word, _, violation = last[0].partition(": ")
    if done.returncode == 1 and word.startswith("seed "):
        return Found(bug, int(word.removeprefix("seed ")), violation, took_s)
    return Found(bug, None, last[0], took_s)


def main() -> int:
    """Plant all bugs, or one; the exit code says whether every one was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.bugs", description=__doc__)
    parser.add_argument("--only", help="the name of one bug")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    missed = 0
    for bug in BUGS:
        if options.only in (None, bug.name):
            found = hunt(bug, seeds=options.seeds)
            missed += found.seed is None
            seed = "none" if found.seed is None else str(found.seed)
            print(f"{bug.name:32} seed {seed:>4}  {found.took_s:6.1f} s  {found.violation[:110]}", flush=True)
    print(f"{missed} bugs were not found" if missed else "every bug was found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
