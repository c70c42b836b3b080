"""From how many networks one account may watch at a time: a limit that counts networks where others count sessions.

It stands among the limits of a wish, and is taken out here before a book sees it: books count sessions. Networks are
looked at before a session is let in, and once more behind it, for others may have come in between: then it is let go of
again. Of several who come at once the first in the book's order tries a second time. It may be that none of them gets
in, and whoever asks again does; there are never more than the limit says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.sessions.model import Full, Limit, Order, Seated

if TYPE_CHECKING:
    from relay.sessions.book import SessionBook
    from relay.sessions.model import Outcome, Session, Sign, Standing, Wish

IP_SHARING = "ip_sharing"
"""What who is refused by it is told."""

NETWORK = "network"
"""Under which name a session's network stands among what operators are told of it."""

_PREFIX = "networks:"


def network_limit(key: str, most: int) -> Limit:
    """Return the limit that counts the networks of those whom another limit counts, by its key."""
    return Limit(_PREFIX + key, most, Order.REJECT, IP_SHARING)


class NetworkBook:
    """Count networks before a book counts sessions; implements `relay.sessions.book.SessionBook`.

    Args:
        book: closed by us.
    """

    def __init__(self, book: SessionBook) -> None:
        self._book = book

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        limits = [one for one in wish.limits if one.key.startswith(_PREFIX)]
        if not limits:
            return await self._book.admit(wish)
        wanted = wish._replace(limits=tuple(one for one in wish.limits if one not in limits))
        if any(one.session == wish.session for one in await self._book.of(wish.account)):
            # It was judged when it came.
            return await self._book.admit(wanted)
        outcome = await self._judged(wish, wanted, limits)
        return outcome if outcome is not None else await self._judged(wish, wanted, limits) or Full(limits[0], ())

    async def _judged(self, wish: Wish, wanted: Wish, limits: Sequence[Limit]) -> Outcome | None:
        """Let a session in that is new, or say why not; None: others have come as well, and it may try again."""
        full = _full(limits, await self._book.of(wish.account), wish)
        if full is not None:
            return full
        outcome = await self._book.admit(wanted)
        if not isinstance(outcome, Seated):
            return outcome
        sessions = await self._book.of(wish.account)
        full = _full(limits, sessions, wish)
        if full is None:
            return outcome
        await self._book.release(wish.account, wish.session)
        here = [one.session for one in sessions]
        before = sessions[: here.index(wish.session)] if wish.session in here else sessions
        return _full(limits, before, wish)

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and return how each session stands."""
        return await self._book.saw(signs)

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself. Return whether it was there."""
        return await self._book.release(account, session)

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there."""
        return await self._book.dismiss(account, session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms)

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        return await self._book.of(account)

    async def find(self, session: str) -> str | None:
        """Return whose a session is."""
        return await self._book.find(session)

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names."""
        return await self._book.accounts(after, count)

    async def aclose(self) -> None:
        """Close the book."""
        await self._book.aclose()


def _full(limits: Sequence[Limit], sessions: Sequence[Session], wish: Wish) -> Full | None:
    """Return the limit that has no room for one more network, None if all have, or its network is there."""
    for limit in limits:
        key, here = limit.key.removeprefix(_PREFIX), wish.about.get(NETWORK, "")
        counted = [one for one in sessions if one.leaving is None and key in one.keys and one.session != wish.session]
        networks = {one.about.get(NETWORK, "") for one in counted}
        if here not in networks and len(networks) >= limit.most:
            return Full(limit, tuple(counted))
    return None
