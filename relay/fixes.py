"""What devices say of where they are: the last two fixes of each session, kept for as long as there is room.

The one before the last is kept because it takes two to tell that somebody has moved faster than anybody can. One that
is in doubt takes nobody's place as the one before: saying the same impossible thing twice makes it no truer.
"""

from __future__ import annotations

from relay.place.model import Fix

MAX_SESSIONS = 100_000
"""In a generation: 30 MB. Whose fix is forgotten is asked for it again."""


_NONE: tuple[None, None] = (None, None)


class FixBook:
    """Remember fixes by session."""

    def __init__(self, *, max_sessions: int = MAX_SESSIONS) -> None:
        self._max = max_sessions
        self._young: dict[str, tuple[Fix, Fix | None]] = {}
        self._old: dict[str, tuple[Fix, Fix | None]] = {}
        self._doubted: set[str] = set()

    def take(self, session: str, fix: Fix) -> bool:
        """Take note of a fix; return False for one that is no newer than what is known."""
        known, before = self.of(session)
        in_doubt = session in self._doubted
        if known is not None and fix.at <= known.at:
            return False
        if session not in self._young and len(self._young) >= self._max:
            self._old, self._young = self._young, {}
            self._doubted &= self._old.keys()
        self._young[session] = (fix, before if in_doubt else known)
        self._doubted.discard(session)
        return True

    def doubt(self, session: str) -> None:
        """Take note that the last fix of a session cannot be true."""
        if session in self._young or session in self._old:
            self._doubted.add(session)

    def of(self, session: str) -> tuple[Fix | None, Fix | None]:
        """Return the last fix of a session, and the one before it."""
        return self._young.get(session) or self._old.get(session) or _NONE
