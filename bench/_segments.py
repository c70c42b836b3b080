"""What a request for a segment costs more because its session is counted, and watched for leaks.

As a relay has it that 100,000 watch one live game by: claims from the cache of tokens, for each a connection with an
address of its own, each time the next segment, in an order that is never the same, by a clock that tells milliseconds
as uvloop's does. In between the book is told who watches. Compared is what the gates take for it, in pairs.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import time
from array import array
from functools import partial
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

from bench._proc import rss_bytes
from kernel.decisions import NOWHERE, Scope, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.io.system_time import wall
from kernel.playlist import parse_media_playlist
from kernel.revocation import RevocationIndex
from kernel.showings import Showing
from kernel.timeline import SegmentKey
from relay.gate import Gate
from relay.io.leak_watch import Fetch, LeakWatch
from relay.io.session_keeper import SessionKeeper
from relay.leaks.detector import FIRST
from relay.leaks.model import LeakLimits
from relay.playlist import Listed, listed
from relay.sessions.memory_book import MemoryBook
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kernel.tokens import Claims
    from relay.sessions.model import About, Limit, Sign, Standing

ROUNDS = 10
"""In each of them half of the sessions ask, in turn."""

A_TICK = 25
"""Requests in a millisecond: 100,000 sessions with segments of four seconds."""

BEGIN = 100_000
SEGMENT_S, SEGMENT_BYTES = 4, 3_000_000
SEGMENT = parse_media_playlist(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:{SEGMENT_S},\na.ts\n").segments[0]
SHOWING = Showing("final", "file:///x", allowed_origins=("https://tv.example",))
FIELDS = ("host", "user-agent", "accept", "accept-encoding", "accept-language", "origin", "referer", "range")
SCOPE: dict[str, Any] = {"headers": [(field.encode(), b"https://tv.example/") for field in FIELDS]}


class Clock:
    """A loop's clock that is moved; what it says is a number of its own each time, as the loop's is."""

    def __init__(self) -> None:
        self._seconds = array("d", [0.0])
        self.now: Callable[[], float] = partial(self._seconds.__getitem__, 0)

    def move(self, seconds: float) -> None:
        """Let time pass; it tells whole milliseconds."""
        self._seconds[0] = round(self._seconds[0] + seconds, 3)


class Told(MemoryBook):
    """A book that counts what it was told."""

    n_signs = 0

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and count them."""
        self.n_signs += len(signs)
        return await super().saw(signs)


class Asked(NamedTuple):
    """A request for a segment: by whom, from where, and for which."""

    claims: Claims
    address: str
    segment: Listed


class Segments:
    """Serve sessions.

    Args:
        said: what the tokens of all of them say.
        limit: what counts them.
        about: what operators are told of them.
    """

    def __init__(self, said: Sequence[Claims], limit: Callable[[], Limit], about: Callable[[Claims], About]) -> None:
        self.said = said
        self._clock = Clock()
        self._wall = wall()

        def time_of_day() -> float:
            return self._wall + self._clock.now()

        self._book = Told(wall=time_of_day)
        self.keeper = SessionKeeper(
            self._book, MemoryBus(self._clock.now), wall=time_of_day, now=self._clock.now, limits=lambda _: (limit(),),
            about=lambda claims, _: about(claims),
        )  # fmt: skip
        self._watch = LeakWatch(LeakLimits(), now=self._clock.now, wall=time_of_day)
        tokens = TokenCache(TokenVerifier({"k": bytes(32)}))
        self._gate = Gate(tokens, RevocationIndex(), endings=self.keeper.endings)
        # Who has a seat need not be remembered by the gate as well.
        self._counting = Gate(
            tokens, RevocationIndex(), endings=self.keeper.endings, seated=self.keeper.is_seated
        )  # fmt: skip
        self._addresses = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(len(said))]
        # They are not all at the same place: a page is looked at with every fourth segment.
        self._msns = [BEGIN + (n & 3) for n in range(len(said))]
        self._listed: dict[int, Listed] = {}
        self._random = random.Random(9)
        self._order: list[int] = []
        self._failed = 0

    async def fill(self) -> tuple[int, int]:
        """Have all take their seats, then all fetch segments; return what each of the two takes, in bytes."""
        before = _resident()
        for claims in self.said:
            assert await self.keeper.seat(claims, NOWHERE, media=True) is None
        seated = _resident() - before
        before = _resident()
        # So many that a page is looked at as it is all through a game, and not as where a session begins.
        for _ in range(1 + FIRST):
            for number, claims in enumerate(self.said):
                # Without the gates: what they keep of somebody is no matter here.
                self._msns[number] += 1
                self._make_up(
                    self._decided, [Asked(claims, self._addresses[number], self._segment(self._msns[number]))]
                )
            self._clock.move(SEGMENT_S)
            await self._others()
        return seated, _resident() - before

    async def measure(self) -> dict[str, float]:
        """Return what the gates take for a request, and what is more of it, in microseconds of CPU: medians."""
        kinds = {"gates": self._decided, "counted": self._counted, "watched": self._watched, "both": self._both}
        taken: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            # A millisecond of each in turn: whatever else the machine does slows all of them.
            spent = await self._spent(list(kinds.values()))
            for number, name in enumerate(kinds):
                taken[name] += spent[number :: len(kinds)]
        assert not self._failed
        more = {name: map(sub, each, taken["gates"]) for name, each in taken.items() if name != "gates"}
        return {
            "gates": statistics.median(taken["gates"]),
            **{name: statistics.median(each) for name, each in more.items()},
        }

    def _next(self) -> list[Asked]:
        """Return requests for what is next, of half of the sessions: the other half comes then, each in a new order."""
        if not self._order:
            self._order = self._random.sample(range(len(self.said)), len(self.said))
        asked = []
        for _ in range(len(self.said) // 2):
            n = self._order.pop()
            self._msns[n] += 1
            asked.append(Asked(self.said[n], self._addresses[n], self._segment(self._msns[n])))
        return asked

    def _segment(self, msn: int) -> Listed:
        if msn not in self._listed:
            self._listed[msn] = listed(
                SEGMENT, SegmentKey(0, msn), "file:///nowhere/a.ts", str, discontinuities=0,
                discontinuity_sequence=0, broken=False, prefix="",
            )  # fmt: skip
        return self._listed[msn]

    async def _spent(self, asks: Sequence[Callable[[Asked], object]]) -> list[float]:
        """Serve half of the sessions, each millisecond in the next of some ways; return what a request took in each."""
        clock, asked = self._clock, self._next()
        taken: list[float] = []
        for first in range(0, len(asked), A_TICK):
            ask, some = asks[len(taken) % len(asks)], asked[first : first + A_TICK]
            clock.move(0.001)
            began = time.thread_time_ns()
            for one in some:
                ask(one)
            taken.append((time.thread_time_ns() - began) / 1e3 / len(some))
            self._make_up(ask, some)
        clock.move(SEGMENT_S / 2 - len(taken) / 1e3)
        await self._others()
        return taken

    def _make_up(self, ask: Callable[[Asked], object], asked: Sequence[Asked]) -> None:
        """Do what was left out: nobody misses a segment, or falls silent."""
        for one in asked:
            self._failed += not self.keeper.touch(one.claims)
            if ask not in (self._watched, self._both):
                Fetch(self._watch, SCOPE, one.address, one.claims, SHOWING, "v3", one.segment, told, WHOSE).sent(
                    0, 2, 2
                )

    async def _others(self) -> None:
        """Do what a relay does beside serving: tell the book, and let the detector sweep."""
        before = -1
        running = asyncio.create_task(self.keeper.run())
        while before != self._book.n_signs:
            before = self._book.n_signs
            for _ in range(10):
                await asyncio.sleep(0)
        running.cancel()
        self._watch.tick()

    # What is done for a request.

    def _decided(self, asked: Asked) -> None:
        self._gate.decide(asked.claims, "final", Scope.WATCH, now=self._wall, whence=Whence(asked.address))
        partial(told, WHOSE)(0, SEGMENT_BYTES, SEGMENT_BYTES)

    def _counted(self, asked: Asked) -> None:
        claims = asked.claims
        self._counting.decide(claims, "final", Scope.WATCH, now=self._wall, whence=Whence(asked.address))
        if not self.keeper.touch(claims):
            self._failed += 1
        partial(told, WHOSE)(0, SEGMENT_BYTES, SEGMENT_BYTES)

    def _watched(self, asked: Asked) -> None:
        claims, address, one = asked
        self._gate.decide(claims, "final", Scope.WATCH, now=self._wall, whence=Whence(asked.address))
        sent = Fetch(self._watch, SCOPE, address, claims, SHOWING, "v3", one, told, WHOSE).sent
        if self._watch.told_of:
            self._watch.marked(ANSWER, claims, one)
        sent(0, SEGMENT_BYTES, SEGMENT_BYTES)

    def _both(self, asked: Asked) -> None:
        claims, address, one = asked
        self._counting.decide(claims, "final", Scope.WATCH, now=self._wall, whence=Whence(asked.address))
        if not self.keeper.touch(claims):
            self._failed += 1
        sent = Fetch(self._watch, SCOPE, address, claims, SHOWING, "v3", one, told, WHOSE).sent
        if self._watch.told_of:
            self._watch.marked(ANSWER, claims, one)
        sent(0, SEGMENT_BYTES, SEGMENT_BYTES)


ANSWER: Any = object()


WHOSE = ("", "v3", SegmentKey(0, 0))


def told(whose: object, start: int, stop: int, length: int) -> None:
    """Be who is told of what went out, with a watch for leaks or without."""


def _resident() -> int:
    gc.collect()
    return rss_bytes(os.getpid())
