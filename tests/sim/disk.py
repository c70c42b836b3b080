"""A disk whose power can be cut: SQLite on the simulation's loop, in the place of the journal's thread.

The file is a real one, in memory where the machine has such a place. Work that waits for its commit is lost in a
crash; what is committed stays, whether or not anybody was told.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from kernel.errors import JournalError
from kernel.io.group_commit import MAX_BATCH, GroupCommit

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.sim.loop import SimLoop


class Disk:
    """What outlives a process.

    Args:
        folder: an empty one.
        dice: decides how long a commit takes.
        usual_s: how long it usually takes, in seconds.
    """

    def __init__(self, loop: SimLoop, folder: Path, dice: random.Random, *, usual_s: float) -> None:
        self.loop = loop
        self.path = folder / "journal.sqlite"
        self.dice = dice
        self._usual_s = usual_s
        self.is_full = False
        self.commits = 0
        self._copy = folder / "copy"
        self._users: list[InLoopCommit] = []

    def beside(self, name: str) -> Path:
        """Return where another file of the process lies."""
        return self.path.with_name(f"{name}.sqlite")

    def commit_class(self) -> type[GroupCommit]:
        """Return the class to be handed to `Journal.open`."""
        return type("InLoopCommit", (InLoopCommit,), {"disk": self})

    def latency_s(self) -> float:
        """Return how long the disk takes to synchronise."""
        return self.dice.expovariate(1 / self._usual_s) + (0.3 if self.dice.random() < 0.01 else 0.0)

    def attach(self, user: InLoopCommit) -> None:
        """Take note of who uses it."""
        self._users.append(user)

    def crash(self) -> None:
        """Lose what is not committed."""
        while self._users:
            self._users.pop().cut()

    def take_copy(self) -> None:
        """Keep a copy of the file as it is."""
        self._copy.mkdir(exist_ok=True)
        for path in self._files():
            shutil.copy(path, self._copy / path.name)

    def put_back(self) -> bool:
        """Replace the file by the copy, if there is one; nobody may be using it."""
        if not self._copy.exists():
            return False
        for path in self._files():
            path.unlink()
        for path in self._copy.iterdir():
            shutil.copy(path, self.path.parent / path.name)
        return True

    def _files(self) -> list[Path]:
        # Not the notes on how far the logs had reached: whoever puts back a copy of the file leaves them.
        return [path for path in self.path.parent.glob("journal.sqlite*") if path.is_file()]


class InLoopCommit(GroupCommit):
    """Do on the loop, after a while, what the journal's thread does."""

    disk: ClassVar[Disk]
    _queue: deque[Any]
    _db: sqlite3.Connection | None = None
    _busy = True
    _dead = False

    def start(self) -> None:
        """Open the file in a while."""
        self._queue = deque()
        self._under_way: list[Any] = []
        self.disk.attach(self)
        self._later(self._begin)

    def put(self, job: Any) -> None:
        """Take in a piece of work, None for the end."""
        if self._dead:
            # Of a process that was killed: whoever asks waits for nothing, and is gone with it.
            if job is not None:
                job.future.cancel()
            return
        self._queue.append(job)
        if not self._busy:
            self._busy = True
            self._later(self._turn)

    async def join(self) -> None:
        """Wait for nothing: there is no thread."""

    def cut(self) -> None:
        """Lose the power."""
        self._dead = True
        if self._db is not None:
            self._db.close()
        for future in [self._opened, self._ended, *(job.future for job in [*self._queue, *self._under_way] if job)]:
            future.cancel()

    def _later(self, call: Any, *arguments: Any) -> None:
        self.disk.loop.call_later(self.disk.latency_s(), self._unless_dead, call, *arguments)

    def _unless_dead(self, call: Any, *arguments: Any) -> None:
        if not self._dead:
            call(*arguments)

    def _begin(self) -> None:
        try:
            self._db = self.connect()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._opened.set_exception(error if isinstance(error, JournalError) else self.fault(error))
            self._ended.set_result(None)
            return
        self._opened.set_result(None)
        self._go_on()

    def _turn(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        jobs = [job for job in batch if job is not None]
        assert self._db is not None
        if self.disk.is_full:
            for job in jobs:
                job.error = self.fault(sqlite3.OperationalError("database or disk is full"))
        elif jobs:
            self.commit(self._db, jobs)
            self.disk.commits += 1
        self._under_way = jobs
        # Killed here, what is on disk was told to nobody.
        self._later(self._told, jobs, None in batch)

    def _told(self, jobs: list[Any], ends: bool) -> None:
        self._under_way = []
        self.resolve(jobs)
        if ends:
            assert self._db is not None
            with suppress(sqlite3.Error):
                self._db.close()
            self._ended.set_result(None)
            return
        self._go_on()

    def _go_on(self) -> None:
        self._busy = bool(self._queue)
        if self._queue:
            self._later(self._turn)
