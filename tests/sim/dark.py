"""Blackouts: an operator who makes and ends them, and what is judged of those inside and outside of them (I11).

Who is inside tells the home in the token; which blackouts there are is taken from the bus, and what they say is read
here anew: from when to when, by the time of the picture, and with what in its place.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kernel.bus import blackouts_topic
from kernel.dates import parse_date
from kernel.pts import TICKS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel.blackouts import BlackoutRecord
    from kernel.bus import Bus
    from kernel.timeline import SegmentTiming
    from tests.sim.judge import Judge
    from tests.sim.plan import Darkness
    from tests.sim.record import Conn, Record
    from tests.sim.world import World
    from tests.support.invariants import Fact, Place

HOME_INSIDE, HOME_OUTSIDE = "US-90012", "US-10001"
PATH = "/api/v1/ppv/blackout"

DARK_S = 0.25
"""I11: one made effective now holds after so long; and for as long a refusal may be on its way that is void by now."""


@dataclass(frozen=True)
class Known:
    """A blackout as the bus tells of it, and since when it does."""

    event_id: str
    start: float | None
    end: float | None
    redirects: bool
    is_announced: bool
    """Whether it begins later than it was made: what was on its way then shows earlier pictures."""
    since: float

    def covers(self, timing: SegmentTiming) -> bool:
        """Return whether any picture of a segment is dark, or may be."""
        wall = timing.wall
        if wall is None:
            return True
        lasts_s = (timing.end - timing.start) / TICKS_PER_S
        return (self.start is None or wall + lasts_s > self.start) and (self.end is None or wall < self.end)


@dataclass
class Dark:
    """Judge by the blackouts that the present process knows."""

    judge: Judge
    known: dict[str, Known] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    """When a showing's last one was forgotten."""

    def watch(self, bus: Bus, is_alive: Callable[[], bool]) -> None:
        """Follow the blackouts of a new process, which begins without any."""
        self.known.clear()
        bus.subscribe(blackouts_topic(), lambda _, record: self._heard(record) if is_alive() else None)

    def _heard(self, record: BlackoutRecord) -> None:
        now = self.judge.now()
        self.judge.note(f"blackout {record.blackout_id} {record.text}")
        before = self.known.pop(record.blackout_id, None)
        if record.text is None:
            self.ended[record.event_id] = now
            return
        said = json.loads(record.text)
        start, end = (parse_date(said[name]) if name in said else None for name in ("start", "end"))
        redirects = said["blackout_zones"][0]["action"] == "redirect"
        since = now if before is None else before.since
        is_announced = start is not None and start > record.made
        self.known[record.blackout_id] = Known(record.event_id, start, end, redirects, is_announced, since)

    def since(self, conn: Conn, timing: SegmentTiming, told_at: float = 0.0, *, body: bool = False) -> float | None:
        """Return since when a segment, or its `body`, is dark for who is behind a connection, None if it is not."""
        over = [one for one in self._over(conn) if not (body and one.is_announced and conn.began < one.since)]
        found = [max(told_at, one.since) for one in over if one.covers(timing)]
        return min(found, default=None)

    def is_replaced(self, timing: SegmentTiming) -> bool:
        """Return whether those inside are listed another showing in a segment's place, by when its pictures were made.

        A redirect that is ended ends with what was on then: its last pictures are out, and listed to nobody inside, as
        much later as the encoder and the hold make them.
        """
        return timing.wall is not None and any(
            one.redirects and one.event_id == timing.stream and one.covers(timing) for one in self.known.values()
        )

    def is_inside(self, conn: Conn) -> bool:
        """Return whether whoever is behind a connection is inside of a blackout, or was a moment ago."""
        if conn.asks is None or conn.asks.claims.get("hzp") != HOME_INSIDE:
            return False
        ended = self.ended.get(conn.asks.event_id)
        was_inside = ended is not None and (self.judge.now() <= ended + DARK_S or self.judge.busy_until >= ended)
        return was_inside or bool(self._over(conn))

    def waits(self, conn: Conn, record: Record, upto: Place) -> bool:
        """Return whether whoever has been sent all before a place waits there for the end of a blackout."""
        timing, told_at = _shown(record, upto)
        return timing is not None and self.since(conn, timing, told_at) is not None

    def body(self, conn: Conn, record: Record, msn: int, n_bytes: int) -> None:
        """I11: no byte of a dark segment goes to somebody inside."""
        for timing, told_at in record.timings.values():
            if timing.msn == msn:
                self._in_time(
                    "bytes of", conn, f"{n_bytes} bytes of {msn}", self.since(conn, timing, told_at, body=True)
                )

    def cue(self, conn: Conn, record: Record, fact: Fact, *, late: bool) -> None:
        """I11: no cue of what is dark goes to somebody inside, not even behind it.

        `late`: it came when its picture was out already. Whoever has come out of the dark may have to know of it.
        """
        if fact.due is not None and not late and self._over(conn):
            timing, told_at = _shown(record, fact.due)
            if timing is not None:
                said = f"{fact.o} ({fact.id}, due {fact.due})"
                self._in_time("cue", conn, said, self.since(conn, timing, max(told_at, fact.at)))

    def snapshot(self, conn: Conn, record: Record, fact: Fact, frontier: Place) -> None:
        """I11: a snapshot tells of what is dark only to who may be out of it, being able to see to `frontier`."""
        if fact.due is None or not self._over(conn):
            return
        timing, told_at = _shown(record, fact.due)
        since = self.since(conn, timing, told_at) if timing is not None else None
        if since is None or timing is None:
            return
        ends = (timing.timeline, int(timing.end))
        for key in sorted(key for key in record.timings if key > timing.key):
            following = record.timings[key][0]
            if self.since(conn, following) is None:
                break
            ends = (following.timeline, int(following.end))
        if frontier <= ends:
            self._in_time("snapshot", conn, f"a snapshot with {fact}", since)

    def _over(self, conn: Conn) -> list[Known]:
        if conn.asks is None or conn.asks.claims.get("hzp") != HOME_INSIDE:
            return []
        return [one for one in self.known.values() if one.event_id == conn.asks.event_id]

    def _in_time(self, what: str, conn: Conn, said: str, since: float | None) -> None:
        if since is None:
            return
        self.judge.counts[f"dark: {what} judged"] += 1
        now = self.judge.now()
        if now > since + DARK_S and self.judge.busy_until < since:
            self.judge.fail("I11", f"{conn.who} is sent {said} at {now}, dark since {since}")


def _shown(record: Record, due: Place) -> tuple[SegmentTiming | None, float]:
    """Return the segment that shows a picture, and since when it is known."""
    for timing, told_at in record.timings.values():
        if timing.timeline == due[0] and timing.start <= due[1] < timing.end:
            return timing, told_at
    return None, 0.0


class Blackouts:
    """Make blackouts and end them, through the real routes, until the server has said so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._acknowledged: dict[str, str] = {}
        self._undone: set[str] = set()
        self._busy = 0
        self.made = 0

    async def make(self, plan: Darkness) -> None:
        """Make one, and end it after a while."""
        world, operator = self._world, self._world.operator
        self._busy += 1
        self.made += 1
        zone = {"type": "zip", "territory": "home", "country": "US", "code": HOME_INSIDE[3:], "action": "block"}
        if plan.redirect is not None:
            zone |= {"action": "redirect", "redirect_stream": plan.redirect}
        body: dict[str, Any] = {"event_id": plan.event_id, "blackout_zones": [zone]}
        for name, in_s in (("start", plan.starts_in_s), ("end", plan.ends_in_s)):
            if in_s is not None:
                body[name] = world.date(world.wall() + in_s)
        key = {"Idempotency-Key": f"blackout-{self.made}"}
        reply = await operator.ask("POST", PATH, json.dumps(body).encode(), (201, 422), key)
        if reply.status == 201:
            name = json.loads(reply.body)["blackout_id"]
            self._acknowledged[name] = plan.event_id
            self.judge()
            await asyncio.sleep(plan.lasts_s)
            await self._end(name)
        # Else the server was away until its end was past.
        self._busy -= 1

    def judge(self) -> None:
        """Judge what is known, after a crash too: what was acknowledged is in force, and what was ended is not."""
        known, fail = self._world.judge.answers.dark.known, self._world.judge.fail
        for name in self._acknowledged:
            if name not in known:
                fail("I11", f"{name} was acknowledged, and is not in force")
        for name in self._undone & known.keys():
            one = known[name]
            if not one.redirects or one.end is None or one.end > self._world.wall() + 0.01:
                fail("I11", f"{name} was ended, and is in force")

    async def settle(self) -> None:
        """Wait until all are ended. Of one that was made as its process was killed nobody knows the name (I12)."""
        while self._busy:  # noqa: ASYNC110 - the tasks are the world's
            await asyncio.sleep(0.1)
        reply = await self._world.operator.ask("GET", PATH, b"", (200,))
        for one in json.loads(reply.body)["blackouts"]:
            await self._end(one["blackout_id"])

    async def _end(self, name: str) -> None:
        self._acknowledged.pop(name, None)
        # 404: it was done, and the answer was lost.
        await self._world.operator.ask("DELETE", f"{PATH}/{name}", b"", (204, 404))
        self._undone.add(name)
        self.judge()
