"""The book of sessions of one process, in memory: what the embedded book keeps on disk besides.

Whoever has gone without a word is let go of when somebody looks at the account. So that accounts at which nobody looks
any more do not stay for ever, each step looks at some others, round and round: as many as it takes that those who are
over are a small part of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.sessions.account import Account
from relay.sessions.model import Life, Outcome, Session, Sign, Standing, Wish
from relay.sessions.names import Names

SWEPT = 4
"""Accounts that are looked at for each one that is new: what is over is gone before there is a quarter more."""

SWEPT_BY_SIGNS = 16
"""Signs of life for each account that is looked at; at least `MIN_SWEPT` are with each call of a keeper."""

MIN_SWEPT = 32


class MemoryBook:
    """Keep the sessions of all accounts; implements `relay.sessions.book.SessionBook`.

    Args:
        wall: the time of day in Unix seconds.
    """

    def __init__(self, *, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._accounts: dict[str, Account] = {}
        self._names = Names()

    def __len__(self) -> int:
        """Return how many accounts are known."""
        return len(self._accounts)

    @property
    def now_ms(self) -> int:
        """Return the time of the book in Unix milliseconds."""
        return int(self._wall() * 1_000)

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not."""
        now_ms, name = self.now_ms, wish.account
        account = self._accounts.get(name)
        is_new = account is None
        if account is None:
            account = self._add(name, Account())
        outcome = account.admit(wish, now_ms=now_ms)
        self._settle(name, account)
        if is_new:
            self._sweep(SWEPT, now_ms)
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
            if account.changed:
                self._settle(sign.account, account)
        self._sweep(max(MIN_SWEPT, len(signs) // SWEPT_BY_SIGNS), now_ms)
        return standings

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself. Return whether it was there."""
        known = self._accounts.get(account)
        if known is None:
            return False
        was_there = known.release(session, now_ms=self.now_ms)
        self._settle(account, known)
        return was_there

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away; return it with its `leaving`, None if it is not there."""
        known = self._accounts.get(account)
        if known is None:
            return None
        dismissed = known.dismiss(session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms, now_ms=self.now_ms)
        self._settle(account, known)
        return dismissed

    async def of(self, account: str) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        known = self._accounts.get(account)
        if known is None:
            return []
        known.pass_time(self.now_ms)
        self._settle(account, known)
        return list(known.sessions)

    async def find(self, session: str) -> str | None:
        """Return whose a session is that is here, None if it is nobody's."""
        return self._found(list(self._accounts), session)

    async def accounts(self, after: str, count: int) -> list[str]:
        """Return up to `count` accounts with sessions beyond `after`, in the order of their names."""
        found: list[str] = []
        now_ms = self.now_ms
        while len(found) < count and (names := self._names.beyond(after, count)):
            after = names[-1]
            found += [name for name in names if self._passed(name, now_ms).sessions]
        return found[:count]

    async def aclose(self) -> None:
        """Do nothing."""

    # Within.

    def _add(self, name: str, account: Account) -> Account:
        self._accounts[name] = account
        self._names.add(name)
        return account

    def _settle(self, name: str, account: Account) -> None:
        """Take note of what a step has changed, and forget an account of which nothing is to be known any more."""
        if account.changed:
            account.changed = False
            self._note(name)
        if account.is_empty and name in self._accounts:
            del self._accounts[name]
            self._names.remove(name)

    def _note(self, name: str) -> None:
        """Do nothing: there is no next life to be told."""

    def _passed(self, name: str, now_ms: int) -> Account:
        account = self._accounts[name]
        account.pass_time(now_ms)
        if account.changed:
            self._settle(name, account)
        return account

    def _found(self, names: Sequence[str], session: str) -> str | None:
        """Return who of these has a session; who has gone meanwhile has none."""
        for name in names:
            account = self._accounts.get(name)
            if account is not None and account.of(session) is not None:
                account = self._passed(name, self.now_ms)
                if account.of(session) is not None:
                    return name
        return None

    def _sweep(self, count: int, now_ms: int) -> None:
        for name in self._names.turn(count):
            self._passed(name, now_ms)
