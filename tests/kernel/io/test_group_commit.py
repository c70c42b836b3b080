"""One thread, one file, one commit for all who wait; real SQLite, real files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel.errors import JournalError
from kernel.io import group_commit
from kernel.io.group_commit import GroupCommit

SCHEMA = "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body BLOB); CREATE INDEX IF NOT EXISTS i ON t (body)"
Db = sqlite3.Connection


@asynccontextmanager
async def opened(path: Path, version: int = 1) -> AsyncIterator[GroupCommit]:
    commits = await GroupCommit.open(path, schema=SCHEMA, version=version)
    try:
        yield commits
    finally:
        await commits.aclose()


def insert(n: int, body: bytes = b"") -> Callable[[Db], None]:
    def work(db: Db) -> None:
        db.execute("INSERT INTO t VALUES (?, ?)", (n, body))

    return work


def numbers(db: Db) -> list[int]:
    return [n for (n,) in db.execute("SELECT n FROM t ORDER BY n")]


def gate() -> tuple[Callable[[Db], None], Callable[[], None]]:
    """Return work that holds the thread, and what lets it go."""
    go = threading.Event()

    def work(_: Db) -> None:
        assert go.wait(30)

    return work, go.set


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    async with opened(tmp_path / "new" / "folder" / "j.db") as commits:
        await commits.run(insert(1))
    async with opened(tmp_path / "new" / "folder" / "j.db") as commits:
        assert await commits.run(numbers) == [1]


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "private" / "j.db"
    async with opened(path) as commits:
        await commits.run(insert(1))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_it_is_synchronised_at_every_commit(tmp_path: Path) -> None:
    def pragmas(db: Db) -> list[object]:
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "locking_mode")]

    async with opened(tmp_path / "j.db") as commits:
        assert await commits.run(pragmas) == ["wal", 2, "exclusive"]


async def test_what_waits_is_committed_together_in_order(tmp_path: Path) -> None:
    statements: list[str] = []
    order: list[int] = []

    async with opened(tmp_path / "j.db") as commits:

        async def one(n: int) -> None:
            await commits.run(insert(n))
            order.append(n)

        def trace(db: Db) -> None:
            db.set_trace_callback(statements.append)

        await commits.run(trace)
        statements.clear()  # its own commit is traced already
        hold, go = gate()
        first = asyncio.ensure_future(commits.run(hold))
        rest = [asyncio.ensure_future(one(n)) for n in range(300)]
        await asyncio.sleep(0)  # lets every task put its work into the queue
        go()
        await asyncio.gather(first, *rest)
        assert await commits.run(numbers) == list(range(300))
    assert order == list(range(300))
    # That of what held the thread, at most one for what it found there, and that of `numbers`.
    assert statements.count("COMMIT") <= 3


async def test_work_that_fails_is_undone_alone(tmp_path: Path) -> None:
    def half(db: Db) -> None:
        db.execute("INSERT INTO t VALUES (7, NULL)")
        raise ValueError("not today")

    async with opened(tmp_path / "j.db") as commits:
        results = await asyncio.gather(
            *(commits.run(work) for work in (insert(1), half, insert(1), insert(2))), return_exceptions=True
        )
        assert [str(result) if result else None for result in results] == [
            None,
            f"journal {tmp_path / 'j.db'}: not today",
            f"journal {tmp_path / 'j.db'}: UNIQUE constraint failed: t.n",
            None,
        ]
        assert all(isinstance(result, JournalError) for result in results if result)
        assert await commits.run(numbers) == [1, 2]


async def test_a_full_disk_fails_the_writers_of_that_batch_and_no_others(tmp_path: Path) -> None:
    def room(pages: int) -> Callable[[Db], None]:
        def work(db: Db) -> None:
            db.execute(f"PRAGMA max_page_count = {pages}")

        return work

    async with opened(tmp_path / "j.db") as commits:
        await commits.run(insert(1))
        await commits.run(room(20))
        hold, go = gate()
        held = asyncio.ensure_future(commits.run(hold))
        await asyncio.sleep(0)
        batch = [asyncio.ensure_future(commits.run(insert(n, bytes(200_000)))) for n in (2, 3)]
        await asyncio.sleep(0)
        go()
        results = await asyncio.gather(held, *batch, return_exceptions=True)
        failed = [result for result in results if result is not None]
        assert failed
        assert all(isinstance(result, JournalError) and "make room" in str(result) for result in failed)
        await commits.run(room(10_000))
        await commits.run(insert(4, bytes(200_000)))
        assert await commits.run(numbers) == [1, 4]


async def test_a_commit_that_fails_fails_all_its_writers(tmp_path: Path) -> None:
    def breaks_at_commit(db: Db) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("INSERT INTO child VALUES (99)")

    def prepare(db: Db) -> None:
        db.execute("CREATE TABLE child (n INTEGER REFERENCES t (n))")

    def enforce(db: Db) -> None:
        # The pragma takes effect outside a transaction only.
        db.execute("COMMIT")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN")

    async with opened(tmp_path / "j.db") as commits:
        await commits.run(prepare)
        with pytest.raises(JournalError, match="no such savepoint"):
            await commits.run(enforce)
        results = await asyncio.gather(
            commits.run(insert(1)), commits.run(breaks_at_commit), commits.run(insert(2)), return_exceptions=True
        )
        assert ["FOREIGN KEY" in str(result) for result in results] == [True] * 3
        assert len({id(result) for result in results}) == 3
        await commits.run(insert(3))
        assert await commits.run(numbers) == [3]


async def test_a_cancelled_caller_s_work_is_done_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as commits:
        hold, go = gate()
        held = asyncio.ensure_future(commits.run(hold))
        caller = asyncio.ensure_future(commits.run(insert(1)))
        await asyncio.sleep(0)
        caller.cancel()
        go()
        await held
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await commits.run(numbers) == [1]


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db") as commits:
        waiting = [asyncio.ensure_future(commits.run(insert(n))) for n in range(group_commit.MAX_BATCH + 10)]
        await asyncio.sleep(0)
        await commits.aclose()
        await asyncio.gather(*waiting)
        await commits.aclose()
        with pytest.raises(JournalError, match="is closed"):
            await commits.run(insert(9_999))
    async with opened(tmp_path / "j.db") as commits:
        assert len(await commits.run(numbers)) == group_commit.MAX_BATCH + 10


async def test_a_disk_that_does_not_answer_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 3)
    monkeypatch.setattr(group_commit, "MAX_WAITING_BYTES", 100)
    async with opened(tmp_path / "j.db") as commits:
        hold, go = gate()
        waiting = [asyncio.ensure_future(commits.run(hold))]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(commits.run(insert(1), n_bytes=60)))
        await asyncio.sleep(0)
        with pytest.raises(JournalError, match="disk is behind, 2 writes"):
            await commits.run(insert(2), n_bytes=60)
        waiting.append(asyncio.ensure_future(commits.run(insert(3))))
        await asyncio.sleep(0)
        with pytest.raises(JournalError, match="disk is behind, 3 writes"):
            await commits.run(insert(4))
        go()
        await asyncio.gather(*waiting)
        # Nothing is waiting: even what is larger than the limit gets through alone.
        await commits.run(insert(5), n_bytes=1_000)
        assert await commits.run(numbers) == [1, 3, 5]


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be read as one" * 20])
async def test_a_foreign_file_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"j\.db: file is not a database; .* move it away"):
        await GroupCommit.open(path, schema=SCHEMA, version=1)
    assert path.read_bytes() == content


async def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with opened(path) as commits:
        for n in range(200):
            await commits.run(insert(n, os.urandom(200)))
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = bytes(len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match=r"j\.db: database disk image is malformed; it is damaged: move it away"):
        async with opened(path) as commits:
            await commits.run(numbers)


async def test_a_second_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "BUSY_TIMEOUT_S", 0.01)
    async with opened(tmp_path / "j.db"):
        with pytest.raises(JournalError, match=r"j\.db: database is locked; another process holds it"):
            await GroupCommit.open(tmp_path / "j.db", schema=SCHEMA, version=1)
    async with opened(tmp_path / "j.db"):
        pass


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db", version=2):
        pass
    with pytest.raises(JournalError, match="written by a newer Lockstep"):
        await GroupCommit.open(tmp_path / "j.db", schema=SCHEMA, version=1)


async def test_a_path_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="check the path"):
        await GroupCommit.open(tmp_path / "file" / "j.db", schema=SCHEMA, version=1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(JournalError, match="folder"):
        await GroupCommit.open(tmp_path / "folder", schema=SCHEMA, version=1)


async def test_an_opening_that_is_given_up_leaves_the_file_free(tmp_path: Path) -> None:
    opening = asyncio.ensure_future(GroupCommit.open(tmp_path / "j.db", schema=SCHEMA, version=1))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with opened(tmp_path / "j.db") as commits:
        await commits.run(insert(1))


def test_a_loop_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    async def leave_behind() -> GroupCommit:
        commits = await GroupCommit.open(tmp_path / "j.db", schema=SCHEMA, version=1)
        commits._jobs.put(None)
        return commits

    commits = asyncio.run(leave_behind())
    commits._thread.join(30)
    assert not commits._thread.is_alive()
