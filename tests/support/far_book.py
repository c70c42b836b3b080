"""A book of sessions that may be out of reach, or lose everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernel.errors import BookUnavailable
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Outcome, Session, Sign, Standing, Wish


class FarBook:
    """Implement `relay.sessions.book.SessionBook` by one in memory.

    Args:
        wall: the time of day of those who ask, in Unix seconds.
        passes: is called with each call: time passes by that.

    `ahead_s` is by how much its own time is ahead of that.
    """

    def __init__(self, wall: Callable[[], float], passes: Callable[[], None] = lambda: None) -> None:
        self._wall, self._passes = wall, passes
        self._kept = self._empty()
        self.is_near = True
        self.asked = 0
        self.ahead_s = 0.0

    def lose(self) -> None:
        """Forget everything."""
        self._kept = self._empty()

    def _empty(self) -> MemoryBook:
        return MemoryBook(wall=lambda: self._wall() + self.ahead_s)

    def _near(self) -> MemoryBook:
        self.asked += 1
        self._passes()
        if not self.is_near:
            raise BookUnavailable("no answer")
        return self._kept

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        return await self._near().admit(wish)

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life."""
        # As one in Redis does: it is told how long ago it was.
        ahead_ms = round(1_000 * self.ahead_s)
        return await self._near().saw([one._replace(seen_ms=one.seen_ms + ahead_ms) for one in signs])

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself."""
        return await self._near().release(account, session)

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away."""
        return await self._near().dismiss(
            account, session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms
        )  # fmt: skip

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account."""
        return await self._near().of(account)

    async def find(self, session: str) -> str | None:
        """Return whose a session is."""
        return await self._near().find(session)

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return accounts with sessions."""
        return await self._near().accounts(after, count)

    async def aclose(self) -> None:
        """Close it."""
        await self._kept.aclose()
