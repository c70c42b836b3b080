"""The book of sessions of one process, in memory and on disk.

Theory of operation: a step is taken in memory, at once, by `MemoryBook`; so nobody ever sees half of one. What it
changed is written before it is answered. One commit is under way at a time, and takes along whatever has changed while
the one before it was: a thousand viewers who come at once wait for two commits, not for a thousand. What is written of
an account is all that is known of it, so writing it again later does no harm.

* Signs of life are not written, nor is the end of a grace: that is a time, and it passes for the next process as well.
* An answer waits for what others changed on the same account, too: it may speak of that.
* Where the disk takes nothing more, viewers are not to blame: steps go on in memory, the log says so once, and what is
  not on disk is written with the next change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

from kernel.errors import DecodeError, JournalError
from kernel.io.group_commit import GroupCommit
from relay.io.session_store import SessionStore, Snapshot
from relay.sessions.kept import from_text
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Outcome, Session, Wish

log = structlog.get_logger("sessions")

ACCOUNTS_AT_ONCE = 1_000
"""Accounts of one commit, and of one page at the start: some milliseconds of work."""

LOOKED_AT_ONCE = 5_000
"""Accounts that are looked through for a session in one turn of the loop: a millisecond."""


class _Commit:
    """Accounts that are written together, and who waits for it."""

    def __init__(self) -> None:
        self.accounts: dict[str, None] = {}
        self.done = asyncio.Event()


class EmbeddedBook(MemoryBook):
    """Implement `relay.sessions.book.SessionBook`. Make it with `open`, inside a running loop.

    Args:
        store: closed by us.
        wall: the time of day in Unix seconds.
    """

    def __init__(self, store: SessionStore, *, wall: Callable[[], float]) -> None:
        super().__init__(wall=wall)
        self._store = store
        self._next = _Commit()
        self._current = _Commit()
        self._unwritten: dict[str, None] = {}
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, *, wall: Callable[[], float], commits: type[GroupCommit] = GroupCommit) -> Self:
        """Open or make the file, and take up who was there when the last process ended.

        Args:
            path: the SQLite file; its folder is made where it is absent.
            wall: the time of day in Unix seconds.
            commits: what runs its work.

        Raises:
            JournalError: it is damaged, held by another process, or cannot be written.
        """
        self = cls(await SessionStore.open(path, commits=commits), wall=wall)
        try:
            await self._take_up(path)
        except BaseException:
            await self._store.aclose()
            raise
        return self

    @property
    def writes(self) -> GroupCommit:
        """Return what commits, to see how it does."""
        return self._store.writes

    @property
    def unwritten(self) -> int:
        """Return how many accounts the disk has not as they are, for it took nothing more."""
        return len(self._unwritten)

    async def admit(self, wish: Wish) -> Outcome:
        """Let a session in, or say why not; what is answered is on disk."""
        outcome = await super().admit(wish)
        await self._kept(wish.account)
        return outcome

    async def release(self, account: str, session: str) -> bool:
        """Let a session leave by itself; that it did is on disk. Return whether it was there."""
        was_there = await super().release(account, session)
        await self._kept(account)
        return was_there

    async def dismiss(
        self, account: str, session: str, *, code: str, by: str, grace_ms: int = 0, memory_ms: int | None = None
    ) -> Session | None:
        """Send a session away, which is on disk then; return it with its `leaving`, None if it is not there."""
        dismissed = await super().dismiss(account, session, code=code, by=by, grace_ms=grace_ms, memory_ms=memory_ms)
        await self._kept(account)
        return dismissed

    async def find(self, session: str) -> str | None:
        """Return whose a session is that is here, None if it is nobody's; others have their turns in between."""
        names = list(self._accounts)
        for begin in range(0, len(names), LOOKED_AT_ONCE):
            found = self._found(names[begin : begin + LOOKED_AT_ONCE], session)
            if found is not None:
                return found
            await asyncio.sleep(0)
        return None

    async def aclose(self) -> None:
        """Write what is not on disk, and close. Closing again does nothing."""
        while self._writing is not None:
            await self._next.done.wait() if self._next.accounts else await self._current.done.wait()
        if self._unwritten:
            self._next.accounts.update(self._unwritten)
            await self._write_on()
        await self._store.aclose()

    # Within.

    async def _take_up(self, path: Path) -> None:
        now_ms, last = self.now_ms, None
        while page := await self._store.page(last, ACCOUNTS_AT_ONCE):
            for name, text in page:
                try:
                    account = from_text(name, text, now_ms=now_ms)
                except DecodeError as error:
                    raise JournalError(
                        f"sessions {path}: {error}; move the file away and start anew, or restore it from a copy"
                    ) from error
                self._settle(name, self._add(name, account))
            last = page[-1][0]
        log.info("sessions.taken_up", accounts=len(self))

    def _note(self, name: str) -> None:
        self._next.accounts[name] = None
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_on(), name="sessions")

    async def _kept(self, name: str) -> None:
        """Wait until all that has happened to an account is on disk, or the disk has refused it."""
        if name in self._next.accounts:
            await self._next.done.wait()
        elif name in self._current.accounts:
            await self._current.done.wait()

    async def _write_on(self) -> None:
        """Write as long as there is something to write."""
        try:
            while self._next.accounts:
                self._current, self._next = self._next, _Commit()
                wanted = {**self._unwritten, **self._current.accounts}
                try:
                    await self._write(wanted)
                except JournalError as error:
                    if not self._unwritten:
                        log.error("sessions.not_written", error=str(error), remedy="they go on in memory: make room")
                    self._unwritten = wanted
                else:
                    if self._unwritten:
                        log.info("sessions.written_again", accounts=len(self._unwritten))
                    self._unwritten = {}
                finally:
                    self._current.accounts = {}
                    self._current.done.set()
        finally:
            self._writing = None

    async def _write(self, names: dict[str, None]) -> None:
        waiting = list(names)
        for begin in range(0, len(waiting), ACCOUNTS_AT_ONCE):
            await self._store.put([self._snapshot(name) for name in waiting[begin : begin + ACCOUNTS_AT_ONCE]])

    def _snapshot(self, name: str) -> Snapshot:
        account = self._accounts.get(name)
        return Snapshot(name, (), ()) if account is None else Snapshot(name, account.sessions, account.evicted)
