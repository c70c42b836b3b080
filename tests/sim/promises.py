"""What a subscriber may rely on between two cues: that silence is provable, and that its cursor passes no price.

PROTOCOL, promise 4: who is subscribed hears a heartbeat at least once an interval. DESIGN 7: a cursor never passes a
price that waits to be conflated, or a resume would lose it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.sim.course import NOWHERE
from tests.sim.dark import HOME_INSIDE
from tests.support.invariants import final_floors

if TYPE_CHECKING:
    from tests.sim.judge import Judge
    from tests.sim.record import Conn, Record
    from tests.support.invariants import Fact, Place

SLACK_S = 0.25
"""How late a heartbeat may be: a tick of the hub's wheel, 50 ms, what timers are late, and others that are served
first. A client gives it a second (PROTOCOL)."""


@dataclass
class Prices:
    """Which prices a subscription has, and which it was not yet told to have."""

    joined_at: float
    based: Place = NOWHERE
    """What is due before this, and was in the log when it joined, its snapshot tells of."""
    had: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By market, version and offset of the newest that was sent."""
    unclaimed: list[Fact] = field(default_factory=list)
    n_seen: int = 0
    """How many of the log's prices have been looked at."""
    has_cursor: bool = False


def frame(judge: Judge, conn: Conn, said: Any) -> None:
    """Judge by a frame that is not a cue."""
    op, now = said["op"], judge.now()
    if op == "sub" and conn.heartbeat_s is None:
        conn.heartbeat_s, conn.beat_at = said["heartbeat_ms"] / 1000, now
        _listen(judge, conn)
    elif op == "hb":
        # Another interval, by `update`, holds from the next one on.
        conn.heartbeat_s, conn.beat_at = conn.wish["heartbeat_ms"] / 1000, now
    if op in ("sub", "resync"):
        conn.prices = Prices(now)
    elif op == "snap" and said["as_of"] is not None:
        conn.prices.based = (said["as_of"]["tl"], int(said["as_of"]["pts"]))
    if said.get("cur") is not None and conn.cur is not None:
        _claimed(judge, conn, judge.records[conn.event_id], conn.cur)


def cue(conn: Conn, fact: Fact) -> None:
    """Take note of a price that was sent."""
    if fact.type == "price":
        had, mid = conn.prices.had, fact.mid or ""
        had[mid] = max(had.get(mid, (-1, -1)), (fact.ver, fact.o))


def _listen(judge: Judge, conn: Conn) -> None:
    """Fail once it has been silent for too long, and look again when that may be."""
    if not conn.alive:
        return
    assert conn.heartbeat_s is not None  # it has subscribed
    now, waits = judge.now(), conn.transport.get_write_buffer_size() > 0
    # Who does not drain gets none: that it is slow is told otherwise (promise 5).
    is_excused = conn.subscribed is None or waits or conn.transport.is_closing()
    since = (
        now if is_excused else max(conn.beat_at, conn.subscribed or 0.0, conn.transport.drained_at, judge.busy_until)
    )
    left_s = since + conn.heartbeat_s + SLACK_S - now
    if left_s <= 0:
        judge.fail("hb", f"{conn.who} has heard none since {conn.beat_at}, one is due every {conn.heartbeat_s} s")
        return
    judge.call_later(left_s + 1e-3, _listen, judge, conn)


def _claimed(judge: Judge, conn: Conn, record: Record, cur: tuple[int, Place]) -> None:
    """Of each market the newest price that the cursor newly covers has been sent, or a newer one has."""
    prices, log = conn.prices, record.log
    is_dark = conn.asks is not None and conn.asks.claims.get("hzp") == HOME_INSIDE
    if is_dark or conn.epoch != log.epoch or not _wants_prices(conn):
        return
    markets = conn.wish["markets"]
    for fact in log.prices[prices.n_seen :]:
        if markets is None or fact.mid in markets:
            prices.unclaimed.append(fact)
    prices.n_seen = len(log.prices)
    newest: dict[str, Fact] = {}
    left = []
    for fact in prices.unclaimed:
        if fact.due is None or fact.o > cur[0] or not fact.due < cur[1]:
            left.append(fact)
            continue
        known = newest.get(fact.mid or "")
        if known is None or (known.ver, known.o) < (fact.ver, fact.o):
            newest[fact.mid or ""] = fact
    prices.unclaimed = left
    if not prices.has_cursor:
        # What the first one covers was sent elsewhere, or stands in the snapshot.
        prices.has_cursor = True
        return
    for mid, fact in newest.items():
        if prices.had.get(mid, (-1, -1)) < (fact.ver, fact.o) and not _is_told(prices, fact):
            floors = final_floors(log.facts.values())
            if fact.ver > max(floors.get("", -1), floors.get(mid, -1)):
                judge.fail("I2", f"{conn.who} is told a cursor of {cur}, and was not sent {fact}, nor a newer one")


def _is_told(prices: Prices, fact: Fact) -> bool:
    return fact.at <= prices.joined_at and fact.due is not None and fact.due < prices.based


def _wants_prices(conn: Conn) -> bool:
    types = conn.wish["types"]
    return types is None or "price" in types
