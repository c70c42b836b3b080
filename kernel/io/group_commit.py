"""One SQLite file, one thread, and as many writes to a commit as are waiting.

Theory of operation: the event loop puts work, a function of the connection, into a queue and awaits a future. The
thread takes all that waits (up to a batch), runs it in one transaction, commits (WAL with synchronous=FULL: the
commit returns when the data is on disk), and only then resolves the futures, in the order in which the work came.
So the disk is synchronised once for all who wait, and nobody is told of a write that a crash could undo.

* Work that fails by itself is undone alone, by its savepoint. When the transaction cannot be kept (disk full, I/O
  error, file locked) exactly the writers of that batch fail; the next batch begins anew.
* The file is held exclusively: a second process that would number the same log fails at start.
* Nothing here ever waits on the event loop's thread.
* `start`, `put` and `join` are all that knows of the thread. Whoever has another place for the work (the simulator has
  a loop whose disk loses its power) overrides these three and calls `connect`, `commit` and `resolve`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from kernel.errors import JournalError
from kernel.histogram import Histogram
from kernel.io.system_time import monotonic

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
log = structlog.get_logger("journal")

MAX_BATCH = 512
"""Beyond some hundred writes a commit's fixed cost no longer shows."""

MAX_WAITING = 20_000
MAX_WAITING_BYTES = 64 << 20
"""Work for a disk that does not answer must not fill the memory: sixteen of the largest vendor messages."""

BUSY_TIMEOUT_S = 2.0
"""How long the thread waits for a file that another process holds, such as one that is just going down."""


COMMIT_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""From an SSD's millisecond to a disk that others keep busy."""


@dataclass(slots=True)
class Job:
    """One piece of work, who awaits it, and what came of it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    n_bytes: int
    after: Callable[[], None] | None = None
    result: Any = None
    error: JournalError | None = None


class GroupCommit:
    """Run work on one SQLite file in its own thread. Make it with `open`, inside a running loop."""

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self._path = path
        self._schema = schema
        self._version = version
        self.commits = Histogram(COMMIT_BOUNDS_S)
        """How long each transaction took, its work included, in seconds."""
        self.waiting = 0
        """How many writes wait, or are being committed."""
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._closed = False
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._main, name="journal", daemon=True)

    @classmethod
    async def open(cls, path: Path, *, schema: str, version: int) -> GroupCommit:
        """Open or make the file, with mode 0600, its folder included.

        Args:
            path: the database; its write-ahead log lies beside it.
            schema: SQL that makes what is not there.
            version: the schema's; a file of a higher one is refused.

        Raises:
            JournalError: the file cannot be used; the text names it and the remedy.
        """
        self = cls(path, schema, version)
        self.start()
        try:
            await self._opened
        except BaseException:
            await self.aclose()
            raise
        return self

    async def run(self, work: Work[T], *, n_bytes: int = 0, after: Callable[[], None] | None = None) -> T:
        """Run `work` in the thread and return its result once it is committed.

        A caller that is cancelled leaves the work in the queue: it is done all the same.

        Args:
            work: uses the connection, neither commits nor rolls back.
            n_bytes: how much memory it holds while it waits, if that is much.
            after: runs in the thread once the work is committed, before anybody is told; must not raise.

        Raises:
            JournalError: it failed, or too much is waiting already.
        """
        if self._closed:
            raise JournalError(f"journal {self._path} is closed")
        if self.waiting >= MAX_WAITING or (self.waiting and self._waiting_bytes + n_bytes > MAX_WAITING_BYTES):
            raise JournalError(f"journal {self._path}: the disk is behind, {self.waiting} writes are waiting")
        job = Job(work, self._loop.create_future(), n_bytes, after)
        self.waiting += 1
        self._waiting_bytes += n_bytes
        self.put(job)
        result: T = await job.future
        return result

    async def aclose(self) -> None:
        """Finish what is waiting, then close the file. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            self.put(None)
        await asyncio.shield(self._ended)
        await self.join()

    # Where the work is done.

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, job: Job | None) -> None:
        """Hand over a piece of work, behind all before it; None: there will be no more."""
        self._jobs.put(job)

    async def join(self) -> None:
        """Wait until nothing works here any more."""
        await asyncio.to_thread(self._thread.join)

    # What follows runs in the thread.

    def _main(self) -> None:
        try:
            connection = self.connect()
        except (sqlite3.Error, OSError, JournalError) as error:
            fault = error if isinstance(error, JournalError) else self.fault(error)
            self._tell(_settle, self._opened, None, fault)
            self._tell(_settle, self._ended, None, None)
            return
        self._tell(_settle, self._opened, None, None)
        try:
            while batch := self._next_batch():
                began = monotonic()
                self.commit(connection, batch)
                self.commits.add(monotonic() - began)
                self._tell(self.resolve, batch)
        finally:
            connection.close()
            self._tell(_settle, self._ended, None, None)

    def connect(self) -> sqlite3.Connection:
        """Open or make the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Vendors' data is licensed: nobody else on the machine reads it. SQLite gives its log the same mode.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._path.chmod(0o600)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > self._version:
                raise JournalError(
                    f"journal {self._path} was written by a newer Lockstep (version {version} of its tables, this one "
                    f"knows {self._version}): use that, or another data folder"
                )
            for statement in self._schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self._version:d}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _next_batch(self) -> list[Job]:
        """Wait for work; return all that is there, or nothing at the end."""
        batch: list[Job] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_BATCH:
                return batch
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._jobs.put(None)  # nothing is put behind the end, so it is the end again
        return batch

    def commit(self, connection: sqlite3.Connection, batch: list[Job]) -> None:
        """Run all of a batch in one transaction; what came of it is noted in its jobs."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._attempt(connection, job)
            connection.execute("COMMIT")
            for job in batch:
                if job.after is not None and job.error is None:
                    job.after()
        except Exception as error:
            log.error("journal.batch_failed", writes=len(batch), error=str(error))
            for job in batch:
                job.error = self.fault(error)
            # Should even this fail, the next BEGIN does too, its batch fails as well, and this is tried again.
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _attempt(self, connection: sqlite3.Connection, job: Job) -> None:
        connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
        except Exception as error:
            # SQLite ends the whole transaction by itself when the disk is full: then the batch is lost.
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO job")
            job.error = self.fault(error)
        connection.execute("RELEASE job")

    def fault(self, error: Exception) -> JournalError:
        """Return what went wrong in words that name the file and the remedy."""
        if isinstance(error, JournalError):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        remedy = {
            sqlite3.SQLITE_NOTADB: "it is no SQLite file: move it away, or choose another data folder",
            sqlite3.SQLITE_CORRUPT: "it is damaged: move it away and start anew, or restore it from a copy",
            sqlite3.SQLITE_BUSY: "another process holds it: stop that, or choose another data folder",
            sqlite3.SQLITE_FULL: "the disk is full: make room",
            sqlite3.SQLITE_READONLY: "it cannot be written: check its owner and the file system",
            sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the path and its owner",
        }.get(code, "check the path, its owner and the disk" if isinstance(error, OSError) else "")
        return JournalError(f"journal {self._path}: {error}" + f"; {remedy}" * bool(remedy))

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            log.warning("journal.loop_gone")  # the loop was closed before us: nobody waits any more

    # Back on the loop.

    def resolve(self, batch: list[Job]) -> None:
        """Tell all who wait for a batch."""
        for job in batch:
            self.waiting -= 1
            self._waiting_bytes -= job.n_bytes
            _settle(job.future, job.result, job.error)


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return  # its caller was cancelled
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
