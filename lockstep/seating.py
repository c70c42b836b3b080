"""Sessions in one process: who keeps their seats, what counts them, and who ends what they watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from kernel.decisions import NOWHERE, Decision, Ending, Scope, Whence
from kernel.io.system_time import wall
from relay.io.playback_desk import Counting
from relay.io.session_keeper import Ends, SessionKeeper
from relay.sessions.about import about_of
from relay.sessions.limits import limits_for
from relay.sessions.networks import NetworkBook
from relay.stream_count.known import KnownRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kernel.bus import Bus
    from kernel.decisions import Admit
    from kernel.tokens import Claims, Reason
    from relay.io.driver import StreamRelay
    from relay.place.model import IpPlace
    from relay.sessions.book import SessionBook
    from relay.sessions.model import About
    from relay.sessions.policies import SessionPolicies

log = structlog.get_logger("sessions")

DEAD_TARGETS = 3
"""Target durations without a request for a segment after which nobody watches: a player holds as many (RFC 8216,
6.3.3)."""


class Seating:
    """Seat the sessions of one process.

    Args:
        book: who watches, anywhere; closed by us.
        bus: what the houses share.
        policies: how many may watch at a time.
        locate: tells where an address is.
        now: the running loop's time in seconds.
        dead_after_s: for how long a session may show no sign of life at least, in seconds.
        max_stale_running_s: for how long those who are here go on while the book cannot be asked, in seconds.

    `relays` are those of this process, by event id: segments may be longer than usual. `stream_rules` are the rules of
    the stream count, as they are known here.
    """

    def __init__(
        self,
        book: SessionBook,
        bus: Bus,
        policies: SessionPolicies,
        *,
        locate: Callable[[str], IpPlace],
        now: Callable[[], float],
        dead_after_s: float,
        max_stale_running_s: float,
    ) -> None:
        self.relays: Mapping[str, StreamRelay] = {}
        self.stream_rules = KnownRules()
        self._dead_after_s = dead_after_s

        def about(claims: Claims, whence: Whence) -> About:
            return about_of(claims, whence, locate(whence.address))

        self.counting = Counting(lambda claims: limits_for(claims, policies), about, self.dead_after_s)
        self.keeper = SessionKeeper(
            NetworkBook(book), bus, wall=wall, now=now, limits=self.counting.limits,
            more=self.stream_rules.limits, about=about,
            dead_after_s=self.dead_after_s, max_stale_running_s=max_stale_running_s,
        )  # fmt: skip

    def start(self, ends: Sequence[Ends]) -> None:
        """Have who has to go ended by all of `ends`."""
        self.keeper.start(_All(ends))

    async def aclose(self) -> None:
        """End nobody any more, and close the book."""
        self.keeper.stop()
        await self.keeper.book.aclose()

    def dead_after_s(self, event_id: str) -> float:
        """Return for how long a session of a showing may show no sign of life, in seconds."""
        relay = self.relays.get(event_id)
        target_s = relay.presentation.window.target_duration_s if relay is not None else None
        return max(self._dead_after_s, DEAD_TARGETS * float(target_s or 0))

    def looking(self, admit: Admit) -> Admit:
        """Return gates for sockets: whoever is let in is looked for in the book, for it may have to go."""

        def admitted(
            token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
        ) -> Decision:
            decision = admit(token, event_id, scope, now=now, whence=whence)
            self.look(decision)
            return decision

        return admitted

    def look(self, decision: Decision) -> None:
        """Look for somebody who was let in, soon."""
        if decision.admitted and decision.claims is not None:
            self.keeper.look(decision.claims)


class _All:
    """Several who serve the same sessions: a fault of one must not keep the others from ending what is theirs."""

    def __init__(self, ends: Sequence[Ends]) -> None:
        self._ends = ends

    def warn_session(self, session: str, ending: Ending) -> None:
        for one in self._ends:
            try:
                one.warn_session(session, ending)
            except Exception:
                log.exception("session.warning_failed")

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        for one in self._ends:
            try:
                one.end_session(session, reason, code)
            except Exception:
                log.exception("session.end_failed")
