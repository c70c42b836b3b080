from __future__ import annotations

from hub.close_codes import CloseCode
from hub.cohort import Delivery
from hub.counts import Delivered, HubCounts
from hub.cursor import NOTHING_SENT
from kernel.cues import CueClass, Entry
from kernel.timeline import END
from tests.hub.makers import at, entry


def delivery(*entries: Entry, safety: bool = False, since: float | None = None) -> Delivery:
    return Delivery((), entries, NOTHING_SENT, END, safety=safety, since=since)


def test_a_flush_counts_each_cue_for_each_subscriber() -> None:
    counts = Delivered()
    opening = entry(1, at(1), cls=CueClass.REOPEN)
    counts.flushed(delivery(entry(0, at(1)), opening, entry(2, at(1)), since=10.0), 2_000, 10.25)
    assert counts.cues == {CueClass.LOCKED: 4_000, CueClass.REOPEN: 2_000, CueClass.SAFETY: 0}
    assert (counts.late.count, counts.late.total, counts.flushes) == (6_000, 1_500.0, 1)
    assert counts.safety_late.count == 0


def test_safety_is_measured_by_itself() -> None:
    counts = Delivered()
    counts.flushed(delivery(entry(0, None), safety=True, since=10.0), 3, 10.5)
    assert counts.cues[CueClass.SAFETY] == counts.safety_late.count == 3
    assert (counts.late.count, counts.safety_late.total) == (0, 1.5)


def test_what_has_no_moment_has_no_lateness() -> None:
    counts = Delivered()
    counts.flushed(delivery(entry(0, at(1))), 3, 10.5)
    assert (counts.cues[CueClass.LOCKED], counts.late.count) == (3, 0)


def test_every_code_is_there_from_the_beginning() -> None:
    counts = HubCounts(["a", "b"])
    assert counts.closed == dict.fromkeys(CloseCode, 0)
    assert list(counts.delivered) == ["a", "b"]
