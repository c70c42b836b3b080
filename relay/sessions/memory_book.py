"""The book of sessions of one process, in memory: what the embedded book keeps on disk besides."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence

from relay.sessions.account import Account
from relay.sessions.model import Life, Outcome, Session, Sign, Standing, Wish


class MemoryBook:
    """Keep the sessions of all accounts; implements `relay.sessions.book.SessionBook`.

    Args:
        wall: the time of day in Unix seconds.
    """

    def __init__(self, *, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._accounts: dict[str, Account] = {}
        self._names: list[str] = []

    def __len__(self) -> int:
        """Return how many accounts are known."""
        return len(self._accounts)

    @property
    def now_ms(self) -> int:
        """Return the time of the book in Unix milliseconds."""
        return int(self._wall() * 1_000)

    def account(self, name: str) -> Account:
        """Return an account, a new one where there is none: steps are its own, `settle` it behind them."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account()
            insort(self._names, name)
        return account

    def settle(self, name: str) -> None:
        """Forget an account of which nothing is to be known any more."""
        account = self._accounts.get(name)
        if account is not None and account.is_empty:
            del self._accounts[name]
            del self._names[bisect_right(self._names, name) - 1]

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        outcome = self.account(wish.account).admit(wish, now_ms=self.now_ms)
        self.settle(wish.account)
        return outcome

    async def saw(self, signs: Sequence[Sign]) -> list[Standing]:
        """Take signs of life, and return how each session stands."""
        now_ms, standings = self.now_ms, []
        for sign in signs:
            account = self._accounts.get(sign.account)
            if account is None:
                standings.append(Standing(Life.GONE))
                continue
            standings.append(account.saw(sign.session, seen_ms=sign.seen_ms, now_ms=now_ms))
            self.settle(sign.account)
        return standings

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself. Return whether it was there."""
        was_there = self.account(account).release(session, now_ms=self.now_ms)
        self.settle(account)
        return was_there

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there."""
        dismissed = self.account(account).dismiss(
            session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms, now_ms=self.now_ms
        )
        self.settle(account)
        return dismissed

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        known = self._accounts.get(account)
        if known is None:
            return []
        known.pass_time(self.now_ms)
        listed = known.listed()
        self.settle(account)
        return listed

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names."""
        found: list[str] = []
        for name in self._names[bisect_right(self._names, after) :]:
            if len(found) >= count:
                break
            self._accounts[name].pass_time(self.now_ms)
            if self._accounts[name].sessions:
                found.append(name)
        return found

    async def aclose(self) -> None:
        """Do nothing."""
