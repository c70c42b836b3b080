"""The contract of the book of sessions: who watches, counted by account. One suite holds all implementations to it.

What every implementation guarantees:

* **Each call is one atomic step.** Steps on one account happen one after the other, whoever asks for them, in whatever
  process; nobody ever sees half of one. Accounts know nothing of each other.
* **`admit` judges all limits before it changes anything.** In this order:
  1. What is dead (no sign of life for `dead_after_ms`), over (`until_ms`) or cut and forgotten leaves the account.
  2. A session that was evicted and is remembered stays out (`Evicted`). One that is there stays, leaving or not, and is
     seen now; it is judged only by limits that do not count it yet.
  3. For each of those limits, in order: it counts the sessions that bear its key and are not leaving. Where those and
     the new one are more than `most`, and the order refuses, or `most` is 0, the answer is `Full` and nothing changes.
     Nor does anything where the account has `MAX_SESSIONS`.
  4. Else as many as are too many go, the oldest or the newest of them by (`began_ms`, id), never the new one; who goes
     by one limit is not counted by the next. They are cut after the limit's grace.
  5. Of those that bear the key and are not cut yet there are then never more than `most` + 1: if there would be, those
     whose time is up first are cut at once. So during a grace there is one too many, never two.
* **A session that is leaving goes.** Nothing makes it stay; it counts no more, and is served until it is cut. If it
  leaves by itself, or shows no sign of life, it is cut then. From then on its id is refused for as long as it is
  remembered, also by a later life of the process. Of one account the last `MAX_EVICTED` are; whoever is forgotten by
  that is a new session, and judged like one.
* **What is answered is kept.** The process may die right behind the answer: evictions and who was there are known to
  the next one (the embedded book: on its disk; the book in Redis: in Redis). Signs of life are not, and a session that
  was there is taken to be alive at that moment. Where the disk takes nothing more, sessions go on in memory.
* **Time is one.** Whoever keeps the book says what time it is. Callers of a book that is shared do not pass theirs: of
  a sign of life it takes how long ago that was.
* **A call that is repeated does no harm.** Whoever is in is not judged again by limits that count it, and whoever is
  leaving goes at the earlier of two times. What may differ is the answer: who went by the first is not told again, and
  whoever was released or cut by it is not there.

Not promised: that other processes have heard of a cut when `admit` returns. They are told by the bus, and find out by
their next sign of life; a cut after a grace they know in advance. Nor that no answer is overtaken by what others are
told: what was told of a session that has to go stands, whatever answer comes behind it, until its `until_ms`; and of
two times at which it is cut the earlier one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relay.sessions.model import Outcome, Session, Sign, Standing, Wish


class SessionBook(Protocol):
    """Know who watches; the module's docstring says what is guaranteed."""

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not.

        Raises:
            BookUnavailable: the book cannot be asked now; nothing may have changed, or all of it.
        """
        ...

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and return how each session stands, in the same order. An older sign changes nothing.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself: its room is free at once, its id is not refused. Return whether it was there.

        One that was evicted stays so.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away: return it with its `leaving`, None if it is not there. Later it does not go by that.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first: those who are here, leaving or not.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def find(self, session: str) -> str | None:
        """Return whose a session is that is here, None if it is nobody's: all accounts are looked through.

        Of several accounts that have a session of that name any one is returned.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names.

        Raises:
            BookUnavailable: the book cannot be asked now.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun, and close."""
        ...
