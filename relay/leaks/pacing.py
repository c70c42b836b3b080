"""Pace a session's bodies: all of them together no faster than a player needs."""

from __future__ import annotations

RATE = 1.25
"""Media seconds a second: a player that had to stop catches up."""

MAX_BACKLOG_S = 10.0
"""What may wait at most, in seconds; who asks for more meanwhile is told to come again."""


class Pace:
    """Say when pieces of bodies may go out; `now` is seconds that never step back."""

    __slots__ = ("_free_at",)

    def __init__(self) -> None:
        self._free_at = float("-inf")

    def wait_s(self, media_s: float, *, now: float) -> float:
        """Take the next place for a piece; return how long it has to wait for it, in seconds.

        Args:
            media_s: how much media the piece is.
            now: when it is asked for.
        """
        begins = max(self._free_at, now)
        self._free_at = begins + media_s / RATE
        return begins - now

    def backlog_s(self, *, now: float) -> float:
        """Return how long a piece would have to wait that came now."""
        return max(0.0, self._free_at - now)
