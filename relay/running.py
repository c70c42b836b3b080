"""Which sessions run: those that were admitted a moment ago. Those that have a seat run as long as that counts.

HLS knows no sessions, only requests, so a session runs for as long as it asks. Kept are two generations of ids; the
older one is dropped when the younger has lasted its time or is full. That costs one set entry a request, no more.
"""

from __future__ import annotations

GENERATION_S = 60.0
"""A session counts as running for one to two of these after its last request: twice the longest target durations."""

MAX_SESSIONS = 100_000
"""In a generation: 12 MB. Beyond that the older ones are taken for new when it matters."""


class RunningSessions:
    """Remember who was admitted lately. `now` is any clock in seconds, always the same."""

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._turns_at = float("-inf")

    def __contains__(self, session: str) -> bool:
        """Return whether a session runs."""
        return session in self._young or session in self._old

    def note(self, session: str, now: float) -> None:
        """Take note of a session that is admitted."""
        if now >= self._turns_at or len(self._young) >= MAX_SESSIONS:
            self._turns_at = now + GENERATION_S
            self._old, self._young = self._young, set()
        self._young.add(session)
