"""A book of sessions as whoever asks it sees it: how long it takes, and whether it can be asked at all.

A book that did not answer is not waited for again for a second: thousands of viewers would each wait for its time-out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from kernel.errors import BookUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from relay.sessions.book import SessionBook
    from relay.sessions.counts import SessionCounts
    from relay.sessions.model import Outcome, Session, Sign, Standing, Wish

T = TypeVar("T")
log = structlog.get_logger("sessions")

RETRY_S = 1.0
"""After how long a book that could not be asked is asked again."""


class AskedBook:
    """Ask a book; implements `relay.sessions.book.SessionBook`.

    Args:
        book: the book; closed by us.
        now: seconds that never step back.
        counts: is told how long it took, and how often it could not be asked.

    `lost_at` is since when it cannot be asked, None where it can, or nobody has tried.
    """

    def __init__(self, book: SessionBook, *, now: Callable[[], float], counts: SessionCounts) -> None:
        self._book = book
        self._now = now
        self._counts = counts
        self._retry_at = 0.0
        self.lost_at: float | None = None

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        return await self._ask("admit", self._book.admit(wish))

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and return how each session stands."""
        return await self._ask("saw", self._book.saw(signs))

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself. Return whether it was there."""
        return await self._ask("release", self._book.release(account, session))

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there."""
        asked = self._book.dismiss(account, session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms)
        return await self._ask("dismiss", asked)

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        return await self._ask("list", self._book.of(account))

    async def find(self, session: str) -> str | None:
        """Return whose a session is."""
        return await self._ask("list", self._book.find(session))

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names."""
        return await self._ask("list", self._book.accounts(after, count))

    async def aclose(self) -> None:
        """Close the book."""
        await self._book.aclose()

    async def _ask(self, what: str, asked: Coroutine[Any, Any, T]) -> T:
        began = self._now()
        if self.lost_at is not None and began < self._retry_at:
            asked.close()
            raise BookUnavailable("the book of sessions could not be asked a moment ago")
        try:
            answer = await asked
        except BookUnavailable as error:
            self._counts.failures += 1
            self._retry_at = self._now() + RETRY_S
            if self.lost_at is None:
                self.lost_at = began
                log.error("book.unavailable", error=str(error))
            raise
        self._counts.took[what].add(self._now() - began)
        if self.lost_at is not None:
            self.lost_at = None
            log.info("book.available")
        return answer
