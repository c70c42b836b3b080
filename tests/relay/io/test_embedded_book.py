"""What is answered is on disk: real SQLite, real files, a real process that is killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from kernel.errors import JournalError
from kernel.io.group_commit import GroupCommit, Job
from relay.io.embedded_book import EmbeddedBook
from relay.sessions.model import Evicted, Full, Life, Limit, Order, Seated, Sign, Wish

ROOT = Path(__file__).parents[3]
START_S = 1_790_000_000.0
TWO = Limit("event:final", 2, Order.OLDEST_FIRST, grace_ms=30_000)


class Clock:
    now_s = START_S

    def __call__(self) -> float:
        return self.now_s

    @property
    def ms(self) -> int:
        return int(self.now_s * 1_000)


def wish(session: str, *limits: Limit, account: str = "anna") -> Wish:
    return Wish(account, session, "final", limits, int(START_S * 1_000) + 3_600_000, 30_000, {"device": "tv"})


class Counted(GroupCommit):
    """How many transactions there were."""

    n = 0

    def commit(self, connection: sqlite3.Connection, batch: list[Job]) -> None:
        type(self).n += 1
        super().commit(connection, batch)


async def test_who_was_there_and_who_was_sent_away_is_known_to_the_next_process(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "there" / "sessions.sqlite"
    book = await EmbeddedBook.open(path, wall=clock)
    for session in "abcd":
        assert isinstance(await book.admit(wish(session, TWO)), Seated)
        clock.now_s += 1
    await book.admit(wish("x", account="ben"))
    assert await book.release("ben", "x")
    before = await book.of("anna")
    await book.aclose()
    await book.aclose()
    # Much later than anybody's sign of life, but before b has to go.
    clock.now_s = START_S + 32
    book = await EmbeddedBook.open(path, wall=clock)
    there = await book.of("anna")
    assert [(one.session, one.began_ms, one.keys, one.about, one.leaving) for one in there] == [
        (one.session, one.began_ms, one.keys, one.about, one.leaving) for one in before
    ]
    assert {one.seen_ms for one in there} == {clock.ms}
    assert isinstance(await book.admit(wish("a", TWO)), Evicted)
    assert await book.accounts("", 9) == ["anna"]
    clock.now_s += 1
    # A grace has gone on as if nothing had been.
    lives = [one.life for one in await book.saw([Sign("anna", session, clock.ms) for session in "abcd"])]
    assert lives == [Life.EVICTED, Life.EVICTED, Life.LIVE, Life.LIVE]
    await book.aclose()


async def test_those_who_come_at_once_share_commits(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock(), commits=Counted)
    Counted.n = 0
    outcomes = await asyncio.gather(*(book.admit(wish("s", account=f"{n}")) for n in range(200)))
    assert all(isinstance(one, Seated) for one in outcomes)
    assert Counted.n == 1
    # What changes nothing waits for nothing.
    assert isinstance(await book.admit(wish("s", account="7")), Seated)
    assert isinstance(await book.admit(wish("t", TWO._replace(most=0), account="7")), Full)
    await book.saw([Sign("7", "s", 0)])
    assert not await book.release("7", "t")
    assert not await book.release("nobody", "t")
    assert await book.dismiss("7", "t", code="kicked", by="op") is None
    assert Counted.n == 1
    await book.aclose()


async def test_an_answer_waits_for_what_it_speaks_of(tmp_path: Path) -> None:
    clock = Clock()
    book = await EmbeddedBook.open(tmp_path / "s", wall=clock, commits=Counted)
    only = TWO._replace(most=1, grace_ms=0)
    await book.admit(wish("a", only))
    Counted.n = 0
    # The second finds what the first has done, and nothing to do itself.
    coming = asyncio.create_task(book.admit(wish("b", only)))
    refused = asyncio.create_task(book.admit(wish("a", only)))
    assert isinstance(await refused, Evicted)
    assert Counted.n == 1
    assert coming.done()
    await book.aclose()


async def test_whoever_does_not_wait_for_the_answer_is_there_all_the_same(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    coming = [asyncio.create_task(book.admit(wish(session))) for session in "ab"]
    await asyncio.sleep(0)
    coming[0].cancel()
    assert isinstance(await coming[1], Seated)
    await book.aclose()
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    assert [one.session for one in await book.of("anna")] == ["a", "b"]
    await book.aclose()


async def test_where_the_disk_is_full_sessions_go_on_and_are_written_when_there_is_room(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    await book.admit(wish("a", account="before"))

    def limit(db: sqlite3.Connection) -> int:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        return int(db.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0])

    await book.writes.run(limit)
    for n in range(100):
        assert isinstance(await book.admit(wish("s", TWO, account=f"account {n}")), Seated)
    assert book.unwritten > 50
    assert len(book) == 101
    await book.writes.run(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
    assert isinstance(await book.admit(wish("last")), Seated)
    assert book.unwritten == 0
    await book.aclose()
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    assert len(book) == 102
    await book.aclose()


async def test_what_was_not_written_is_tried_again_at_the_end(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    await book.writes.run(lambda db: db.execute("ALTER TABLE accounts RENAME TO moved"))
    assert isinstance(await book.admit(wish("a")), Seated)
    assert isinstance(await book.admit(wish("b")), Seated)
    assert book.unwritten == 1
    await book.writes.run(lambda db: db.execute("ALTER TABLE moved RENAME TO accounts"))
    await book.aclose()
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    assert len(await book.of("anna")) == 2
    await book.aclose()


async def test_those_who_died_meanwhile_are_not_there_in_the_next_life(tmp_path: Path) -> None:
    clock = Clock()
    book = await EmbeddedBook.open(tmp_path / "s", wall=clock)
    for n in range(40):
        await book.admit(wish("s", account=f"{n:02}"))
    clock.now_s += 31
    for _ in range(2):
        await book.saw([])
    assert len(book) == 0
    await book.aclose()
    book = await EmbeddedBook.open(tmp_path / "s", wall=clock)
    assert len(book) == 0
    await book.aclose()


async def test_a_file_that_says_nothing_is_refused_by_its_name(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    await book.writes.run(lambda db: db.execute("INSERT INTO accounts VALUES (x'78', 'nonsense')"))
    await book.aclose()
    for _ in range(2):
        with pytest.raises(JournalError, match=f"{tmp_path}/s.*restore it"):
            await EmbeddedBook.open(tmp_path / "s", wall=Clock())


async def test_many_are_taken_up(tmp_path: Path) -> None:
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    await asyncio.gather(*(book.admit(wish("s", account=f"{n:05}")) for n in range(2_500)))
    await book.aclose()
    book = await EmbeddedBook.open(tmp_path / "s", wall=Clock())
    assert len(book) == 2_500
    assert await book.accounts("00000", 2) == ["00001", "00002"]
    await book.aclose()


CHILD = """
import asyncio, itertools, sys, time
from pathlib import Path
from relay.io.embedded_book import EmbeddedBook
from relay.sessions.model import Limit, Order, Seated, Wish

async def one(book, account):
    limit = Limit("event:final", 1, Order.OLDEST_FIRST)
    for n in itertools.count():
        until_ms = int(time.time() * 1000) + 3_600_000
        outcome = await book.admit(Wish(account, f"{n:06}", "final", (limit,), until_ms, 30_000, {}))
        assert isinstance(outcome, Seated)
        print(account, n, flush=True)

async def main():
    book = await EmbeddedBook.open(Path(sys.argv[1]), wall=time.time)
    await asyncio.gather(*(one(book, f"account-{n}") for n in range(20)))

asyncio.run(main())
"""


async def test_kill_9_frees_nobody_who_was_sent_away_and_loses_nobody_who_was_let_in(tmp_path: Path) -> None:
    for answers in (1, 50, 400):
        path = tmp_path / f"{answers}"
        last: dict[str, int] = {}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout is not None
        n = 0
        # A last line without its end was cut off by the kill: nobody has read that answer.
        while (line := await child.stdout.readline()).endswith(b"\n"):
            account, _, number = line.decode().partition(" ")
            if not account.startswith("account-"):
                continue  # the log
            last[account], n = int(number), n + 1
            if n == answers:
                child.kill()
        assert await child.wait() == -signal.SIGKILL
        assert n >= answers
        book = await EmbeddedBook.open(path, wall=time.time)
        for account, session in last.items():
            (there,) = await book.of(account)
            assert int(there.session) in (session, session + 1)
            for gone in range(max(0, session - 50), session):
                assert isinstance(await book.admit(wish(f"{gone:06}", account=account)), Evicted)
        await book.aclose()
