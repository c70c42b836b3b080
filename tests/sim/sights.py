"""How far each viewer may see at most (I1): by its own playhead, by the bytes that went to its session, by silence.

Nothing here asks the hub. What went to a session is counted where the server writes; which report the hub goes by is
known from the `pong` to the `ping` that is sent right behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.cursor import read_cursor
from kernel.pts import TICKS_PER_MS, TICKS_PER_S, WRAP
from tests.sim.course import EVERYWHERE, NOWHERE, ticks, vod_upto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel.marks import Opened
    from tests.sim.record import Conn, Record
    from tests.support.invariants import Place

MAX_PLAYED_ON_S = 7.5
"""A report is played on for 1.5 report intervals (DESIGN 7), of five seconds at most (PROTOCOL, `pos`)."""

PONG = "pos-"


@dataclass(frozen=True)
class Told:
    """A report as its client sends it at `at`; `place` is (msn, None) or (None, timeline)."""

    number: int
    at: float
    pts: int
    rate: float
    msn: int | None
    timeline: int | None
    lead_ms: int


def opened(record: Record, said: Opened) -> None:
    """Let those who say nothing play on to what is open."""
    if said.upto is None and record.state is not None:
        record.course.lay_blank(said.key, record.state.target_duration_s * TICKS_PER_S)
    record.opened_at = said.at
    play_on(record)


def play_on(record: Record) -> None:
    """Take note that what is open may end elsewhere."""
    state = record.state
    end_x = record.end_x()
    if end_x is not None and state is not None and end_x != record.silence.end_x:
        record.silence.opened(record.opened_at, end_x, state.target_duration_s * TICKS_PER_S)


def reported(conn: Conn, told: Told) -> None:
    """Take note of a report that is on its way."""
    conn.reports.append(told)


def acknowledged(conn: Conn, record: Record, number: int, now: float) -> None:
    """Take note that the hub goes by a report, and by none before it."""
    upto(conn, record, now)
    conn.reports = [one for one in conn.reports if one.number >= number]
    conn.goes_by_reports = True


def upto(conn: Conn, record: Record, now: float) -> Place:
    """Return before which media time a viewer may see by now; it never goes back."""
    quiet = _quiet(conn, record, now)
    allowed = [_by_report(one, conn, record, quiet, now) for one in conn.reports]
    if not conn.goes_by_reports:
        allowed.append(quiet)
    # What it was shown over another connection it may know.
    known = record.reached.get((conn.epoch, conn.who), NOWHERE)
    conn.reached = max(known, conn.reached, *allowed)
    record.reached[conn.epoch, conn.who] = conn.reached
    return conn.reached


def stands_at(conn: Conn, record: Record) -> Place:
    """Return before which media time a player shows all that stands still, by its last report, before the end of all.

    Of one that plays on, has said nothing, or is at the end, nothing is known that would bound it.
    """
    last, end_x = conn.reports[-1] if conn.reports else None, record.end_x()
    place = _claimed(last, record) if last is not None and not last.rate else None
    x = record.course.x_of(place) if place is not None else None
    if last is None or x is None or end_x is None or x >= end_x:
        return EVERYWHERE
    # A lead does not reach the end of all: that comes when the player is there.
    return record.course.shown_at(min(x + last.lead_ms * TICKS_PER_MS, end_x - 1))


def frontier(conn: Conn, record: Record, now: float) -> Place:
    """Return before which media time a subscriber may see (I1)."""
    if conn.mode == "realtime":
        return EVERYWHERE
    if conn.mode == "edge":
        return record.frontier()
    return min(record.frontier(), upto(conn, record, now))


def goes_on(conn: Conn, record: Record, frame: Any, now: float) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the cursor in a frame: beyond what may be seen (I1), or behind what was told (I2)."""
    op = frame["op"]
    if op in ("unsub", "resync", "sub"):
        conn.told = (-1, NOWHERE)
    if frame.get("cur") is None:
        return
    read = read_cursor(frame["cur"])
    if read is None:
        return
    cur = conn.cur = (read.cursor.o, (read.cursor.upto.timeline, int(read.cursor.upto.pts)))
    allowed = frontier(conn, record, now)
    # What it was told over an earlier connection is true in the next process, too.
    known = record.told_upto.get((conn.epoch, conn.who), NOWHERE)
    if not cur[1] <= max(allowed, known):
        yield "I1", f"{conn.who} is told a cursor of {cur}, and may see {allowed}"
    record.told_upto[conn.epoch, conn.who] = max(cur[1], known)
    # Neither number may fall, whatever comes late or waits to be conflated: it would be owed again what it has.
    if cur[0] < conn.told[0] or cur[1] < conn.told[1]:
        yield "I2", f"{conn.who} is told a cursor of {cur}, and was told {conn.told}"
    conn.told = cur


def _quiet(conn: Conn, record: Record, now: float) -> Place:
    """Return how far it might see if it reported nothing."""
    if record.state is not None and not record.state.live:
        if conn.subscribed is None:
            return NOWHERE
        return vod_upto(record.course, conn.watches_since, now, record.end_x())
    return record.silence.upto(now, ended=record.is_over())


def _by_report(told: Told, conn: Conn, record: Record, quiet: Place, now: float) -> Place:
    """Return how far it may see by one report: to where it claims to be, and no further than what it was served."""
    place = _claimed(told, record)
    x = None if place is None else record.course.x_of(place)
    if place is None or x is None:
        return NOWHERE
    x += ticks(min(now - told.at, MAX_PLAYED_ON_S) * told.rate)
    end_x = record.end_x()
    over = record.is_over() and end_x is not None and x >= end_x
    shown = EVERYWHERE if over else record.course.shown_at(x + told.lead_ms * TICKS_PER_MS)
    have, at = record.served.get(conn.who, set()), record.course.msn_of(place)
    last = max((msn for msn in have if at is not None and msn <= at), default=None)
    if last is None:
        return min(shown, quiet)
    while last + 1 in have:
        last += 1
    if record.is_over() and record.key is not None and last >= record.key.msn:
        return shown
    return min(shown, record.course.end_of(last))


def _claimed(told: Told, record: Record) -> Place | None:
    if told.timeline is not None:
        return told.timeline, told.pts
    begins = record.course.begins(told.msn if told.msn is not None else -1)
    if begins is None:
        return None
    timeline, start = begins[1]
    return timeline, start + (told.pts - start + WRAP // 2) % WRAP - WRAP // 2
