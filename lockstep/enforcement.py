"""Revocations from the bus to where they bite: the index that the gates ask, and whoever must end what runs. And what
else may end it while it runs: policies, lists and places that change are judged anew for everybody who is here.

Every process that admits has one of these. It also looks at how old its knowledge is: cut off from the bus for longer
than a running session may go on, it ends all of them (INVARIANTS I9); that nobody new comes in is the gate's doing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from kernel.bus import Bus, Cancel, revocations_topic
from kernel.revocation import Revocation, RevocationChange, RevocationIndex, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kernel.decisions import Judge

log = structlog.get_logger("revocations")

REVIEW_S = 15.0
"""How often it is looked at whether those who are here may stay where nothing has changed but the time."""

TICK_S = 1.0
"""How often it is looked at how stale we are, and a part of the index is swept."""


class Enforcer(Protocol):
    """Who serves sessions that may have to end."""

    def revoke(self, subject: Subject) -> None:
        """End, now, whatever a subject concerns."""
        ...

    def end_all(self) -> None:
        """End everything that somebody was admitted to."""
        ...

    def review(self, judge: Judge) -> Iterator[None]:
        """Ask again about everybody, and end what is not granted any more; pause between slices of a millisecond."""
        ...


class Enforcement:
    """Keep the index by the bus, and tell the enforcers.

    Args:
        bus: where revocations come from.
        index: what the gates ask.
        enforcers: who ends what runs.
        judge: decides again on who is here, as of now.
        wall: the time of day in Unix seconds.
        max_stale_running_s: how long what runs may go on without the bus, in seconds.
    """

    def __init__(
        self,
        bus: Bus,
        index: RevocationIndex,
        enforcers: Sequence[Enforcer],
        *,
        judge: Judge,
        wall: Callable[[], float],
        max_stale_running_s: float,
    ) -> None:
        self._judge = judge
        self._wanted = asyncio.Event()
        self._bus = bus
        self._index = index
        self._enforcers = enforcers
        self._wall = wall
        self._max_stale_running_s = max_stale_running_s
        self._cut_off = False
        self._cancel: Cancel | None = None

    def start(self) -> None:
        """Listen to the bus; what it has retained is in the index before this returns."""
        self._cancel = self._bus.subscribe(revocations_topic(), self._on_change)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    async def run(self) -> None:
        """Look at the time once a second, until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def look_again(self) -> None:
        """Have everybody who is here judged anew, soon: a policy, a list, or what is known of a place has changed."""
        self._wanted.set()

    async def review(self) -> None:
        """Judge anew whenever that is asked for, and every `REVIEW_S`: fixes grow old. Until cancelled."""
        while True:
            # Two words in one turn of the loop are one review; a word during a review is another one.
            self._wanted.clear()
            for enforcer in self._enforcers:
                try:
                    for _ in enforcer.review(self._judge):
                        await asyncio.sleep(0)
                except Exception:
                    log.exception("review.failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(REVIEW_S):
                    await self._wanted.wait()

    def tick(self) -> None:
        """Sweep a part of the index; end everything if we have been without the bus for too long."""
        self._index.sweep(self._wall())
        lag_s = self._bus.lag_s()
        cut_off = lag_s > self._max_stale_running_s
        if cut_off:
            if not self._cut_off:
                log.error("revocations.stale", lag_s=round(lag_s, 1))
            # Each time: a session that was just being admitted may have slipped in.
            for enforcer in self._enforcers:
                self._have(enforcer.end_all)
        elif self._cut_off:
            log.info("revocations.fresh")
        self._cut_off = cut_off

    def _on_change(self, _: int, change: RevocationChange) -> None:
        if not self._index.apply(change) or not isinstance(change, Revocation):
            return
        if change.expires is not None and change.expires <= self._wall():
            return
        for enforcer in self._enforcers:
            self._have(partial(enforcer.revoke, change.subject))

    def _have(self, end: Callable[[], None]) -> None:
        try:
            end()
        except Exception:
            # A fault of one must not keep the others from ending what is theirs.
            log.exception("revocations.enforcer_failed")
