"""Whether bets may be taken: what only the hub knows, and says in heartbeats, not in entries.

    may wager = lockstep is not lost, and the live picture moves, and no bound feed is down;
    and for live viewers also: they are not too far behind.

`False` means that every market counts as suspended until a heartbeat says `true` (PROTOCOL).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.feed_state import FeedState, Health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.frontier import Edge


class Wagering:
    """Judge a stream. `max_lag_s` is how far behind the newest picture a live viewer may be and still bet."""

    def __init__(self, max_lag_s: float) -> None:
        self.may_wager = False
        self.lagging = False
        """Whether live viewers are too far behind."""
        self.feeds: dict[str, FeedState] = {}
        self._max_lag_ms = max_lag_s * 1000

    def set_feeds(self, states: Iterable[FeedState]) -> list[FeedState]:
        """Take in how the sources are; return those that have changed."""
        changed = [one for one in states if self.feeds.get(one.source) != one]
        self.feeds.update((one.source, one) for one in changed)
        return changed

    def stalls_at(self, edge: Edge) -> float | None:
        """Return the bus time at which bets end if nothing opens, None if no such time would change anything."""
        return edge.stalls_at() if self.may_wager else None

    def judge(self, edge: Edge, behind_ms: int | None, now: float) -> bool:
        """Judge anew; return whether live viewers have just come back from too far behind.

        Args:
            edge: what is out.
            behind_ms: how far live viewers are behind it; None: unknown, or the stream is not live.
            now: bus time.
        """
        stalls_at = edge.stalls_at()
        down = any(one.state is Health.DOWN for one in self.feeds.values())
        self.may_wager = edge.sync == "ok" and not down and (stalls_at is None or now < stalls_at)
        was, self.lagging = self.lagging, behind_ms is not None and behind_ms > self._max_lag_ms
        return was and not self.lagging
