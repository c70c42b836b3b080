"""What was acknowledged is on disk, also under kill -9; real SQLite, real files, a real process."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from feeds.io.journal import Journal
from feeds.journal_records import Appended, SealedRow, StoredMark, StoredTiming, StreamRecord
from feeds.market_book import Kept
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.errors import JournalError
from kernel.marks import ReleaseMark
from kernel.pts import Ticks
from kernel.timeline import MediaTime, SegmentTiming
from kernel.value import replace

ROOT = Path(__file__).parents[3]


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncIterator[Journal]:
    journal = await Journal.open(path, now=clock or Clock())
    try:
        yield journal
    finally:
        await journal.aclose()


def entry(o: int) -> Entry:
    cue = Cue(
        "nba:7", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, MediaTime(0, Ticks(o)), 3, None, 2, 5, 1, {"txt": "\u00e9"}
    )
    return Entry(o, cue, MediaTime(0, Ticks(o + 1)))


def timing(msn: int) -> SegmentTiming:
    return SegmentTiming("game", 0, msn, None, f"http://o/{msn}.ts", 0, Ticks(0), Ticks(9), 1.5, 0.29, "pdt")


def mark(msn: int) -> ReleaseMark:
    return ReleaseMark("game", 0, msn, None, MediaTime(0, Ticks(9)), 7.25)


EMPTY = StreamRecord(None, 0, None, [], [], [], [])


async def test_a_message_is_kept_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        assert await journal.append_message("nba", "m1", b"{}", received=5.0) == Appended(1, duplicate=False)
        assert await journal.append_message("nba", "m1", b"other", received=6.0) == Appended(1, duplicate=True)
        other = await journal.append_message("mlb", "m1", b"[]", received=7.0)
        assert other.seq > 1
        assert not other.duplicate
    async with opened(tmp_path / "j") as journal:
        assert await journal.append_message("nba", "m1", b"{}", received=8.0) == Appended(1, duplicate=True)
        (first, second) = await journal.unsettled(["nba", "mlb"])
        assert (first.seq, first.source, first.message_id, first.received, first.body) == (1, "nba", "m1", 5.0, b"{}")
        assert second.body == b"[]"


async def test_what_is_settled_is_not_owed(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        for n in range(4):
            await journal.append_message("nba", f"m{n}", b"{}", received=5.0, open_facts=n)
        assert [stored.seq for stored in await journal.unsettled(["nba"])] == [2, 3, 4]
        await journal.settle([2, 4])
        await journal.settle([])
        assert [stored.seq for stored in await journal.unsettled(["nba"])] == [3]
        assert await journal.unsettled(["mlb"]) == []
        assert await journal.unsettled([]) == []


async def test_a_stream_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [SealedRow(entry(0), "nba", "7", 1, 42, {"stamp": 9}), SealedRow(entry(1)), SealedRow(entry(1000))]
    async with opened(tmp_path / "j") as journal:
        assert await journal.load("game", since_wall=0) == EMPTY
        await journal.begin_epoch("game", "e1")
        await journal.reserve("game", 1000)
        await journal.reserve("game", 2000)
        await journal.reserve("game", 1500)
        await journal.reserve_timelines("game", 1000)
        await journal.reserve_timelines("game", 500)
        await journal.save_state("game", {"last": [0, 7]})
        await journal.seal("game", rows[:2])
        await journal.seal("game", rows[2:])
        await journal.seal("other", [SealedRow(entry(0))])
        await journal.append_timing("game", 0, timing(5), {"end": 9})
        await journal.append_timing("game", 1, timing(6))
        await journal.append_mark("game", 0, mark(5))
    async with opened(tmp_path / "j") as journal:
        assert await journal.load("game", since_wall=0) == StreamRecord(
            "e1",
            2000,
            {"last": [0, 7]},
            rows,
            [StoredTiming(0, timing(5), {"end": 9}), StoredTiming(1, timing(6), None)],
            [StoredMark(0, mark(5))],
            [],
            reserved_timeline=1000,
        )
        assert [row.entry.o for row in (await journal.load("other", since_wall=0)).entries] == [0]


async def test_an_entry_never_changes(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.seal("game", [SealedRow(entry(0))])
        with pytest.raises(JournalError, match="UNIQUE"):
            await journal.seal("game", [SealedRow(entry(1)), SealedRow(entry(0), "nba")])
        assert (await journal.load("game", since_wall=0)).entries == [SealedRow(entry(0))]


async def test_a_timing_and_a_mark_may_be_given_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        for msn in (1, 2):
            await journal.append_timing("game", 0, timing(msn))
            await journal.append_mark("game", 0, mark(msn))
        record = await journal.load("game", since_wall=0)
        assert (record.timings, record.marks) == ([StoredTiming(0, timing(2), None)], [StoredMark(0, mark(2))])


async def test_a_new_epoch_keeps_what_is_left_of_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.reserve("game", 1000)
        await journal.begin_epoch("game", "e1")
        await journal.seal("game", [SealedRow(entry(0))])
        await journal.begin_epoch("game", "e2")
        record = await journal.load("game", since_wall=0)
        assert (record.epoch, record.reserved_o, len(record.entries), record.lost) == ("e2", 1000, 1, False)


def _remove_files(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, target / path.name)


async def test_a_journal_put_back_from_an_older_copy_is_found_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with opened(folder / "j.sqlite") as journal:
        await journal.load("game", since_wall=0)
        await journal.begin_epoch("game", "e1")
        await journal.reserve("game", 1000, ver=1000)
        await journal.seal("game", [SealedRow(entry(0))])
    _copy(folder, tmp_path / "copy")
    async with opened(folder / "j.sqlite") as journal:
        record = await journal.load("game", since_wall=0)
        assert not record.lost
        await journal.seal("game", [SealedRow(entry(1000))])
        await journal.reserve("game", 2000, ver=2000)
    _copy(tmp_path / "copy", folder)
    async with opened(folder / "j.sqlite") as journal:
        record = await journal.load("game", since_wall=0)
        # The note beside it says how far the log and the versions had got.
        assert (record.lost, record.epoch, record.reserved_ver) == (True, "e1", 2000)
        await journal.begin_epoch("game", "e2")
    async with opened(folder / "j.sqlite") as journal:
        record = await journal.load("game", since_wall=0)
        assert (record.lost, record.epoch, [row.entry.o for row in record.entries]) == (False, "e2", [0])


async def test_so_is_one_of_which_only_suspends_were_published_since(tmp_path: Path) -> None:
    """They go out under numbers that are promised away, before they are sealed: the copy would promise them again."""
    folder = tmp_path / "data"
    async with opened(folder / "j.sqlite") as journal:
        await journal.load("game", since_wall=0)
        await journal.begin_epoch("game", "e1")
        await journal.reserve("game", 1000, ver=1000)
    _copy(folder, tmp_path / "copy")
    async with opened(folder / "j.sqlite") as journal:
        await journal.load("game", since_wall=0)
        await journal.reserve("game", 2000, ver=2000)
    _copy(tmp_path / "copy", folder)
    async with opened(folder / "j.sqlite") as journal:
        assert (await journal.load("game", since_wall=0)).lost


async def test_a_journal_that_is_gone_is_found_out_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.sqlite") as journal:
        await journal.load("game", since_wall=0)
        await journal.begin_epoch("game", "e1")
        await journal.reserve("game", 1000, ver=700)
        await journal.seal("game", [SealedRow(entry(0))])
    _remove_files(tmp_path)
    async with opened(tmp_path / "j.sqlite") as journal:
        record = await journal.load("game", since_wall=0)
        assert (record.lost, record.epoch, record.reserved_ver) == (True, None, 700)


async def test_entries_markets_and_messages_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        appended = await journal.append_message("nba", "m1", b"{}", received=5.0)
        pieces = [Kept("market/1", 7, {"floor": 1}), Kept("market/1", 6, {"floor": 0}), Kept("wide/nba/1", 7, None)]
        await journal.seal("game", [SealedRow(entry(0))], kept=pieces, settled=[appended.seq])
        assert await journal.unsettled(["nba"]) == []
        # The higher version outranks the lower, whichever comes last.
        wanted = [Kept("market/1", 7, {"floor": 1}), Kept("wide/nba/1", 7, None)]
        assert (await journal.load("game", since_wall=0)).kept == wanted
        second = await journal.append_message("nba", "m2", b"{}", received=5.0)
        with pytest.raises(JournalError):
            await journal.seal("game", [SealedRow(entry(0))], kept=[Kept("floor/", 9, {})], settled=[second.seq])
        assert (await journal.load("game", since_wall=0)).kept == wanted
        assert len(await journal.unsettled(["nba"])) == 1


async def test_only_what_is_young_enough_is_loaded(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "j", clock) as journal:
        for n in range(3):
            clock.now = 1000.0 + n
            await journal.seal("game", [SealedRow(entry(n))])
            await journal.append_timing("game", n, timing(n))
            await journal.append_mark("game", n, mark(n))
        record = await journal.load("game", since_wall=1001.0)
        assert [row.entry.o for row in record.entries] == [1, 2]
        assert [stored.n for stored in record.timings] == [stored.n for stored in record.marks] == [1, 2]


async def test_what_is_old_is_forgotten_but_never_what_is_owed_or_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "j", clock) as journal:
        await journal.append_message("nba", "settled", b"", received=1000.0, open_facts=0)
        await journal.append_message("nba", "owed", b"", received=1000.0)
        for n in range(3):
            await journal.seal("game", [SealedRow(entry(n))])
            await journal.append_timing("game", n, timing(n))
            await journal.append_mark("game", n, mark(n))
        await journal.append_timing("other", 0, timing(0))
        await journal.trim(1000.0)
        assert len((await journal.load("game", since_wall=0)).entries) == 3
        await journal.trim(1000.1)
        record = await journal.load("game", since_wall=0)
        assert record.entries == []
        assert [stored.n for stored in record.timings] == [stored.n for stored in record.marks] == [2]
        assert len((await journal.load("other", since_wall=0)).timings) == 1
        assert [stored.message_id for stored in await journal.unsettled(["nba"])] == ["owed"]
        # A message that is forgotten never lends its number to another.
        assert await journal.append_message("nba", "settled", b"", received=1001.0) == Appended(3, duplicate=False)


async def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.append_mark("game", 0, mark(1))
        await journal._many("UPDATE marks SET map = ?", [("{}",)])
        with pytest.raises(JournalError, match="record of stream 'game' cannot be read: release mark: 'stream'"):
            await journal.load("game", since_wall=0)
        await journal._many("UPDATE marks SET map = ?", [("{",)])
        with pytest.raises(JournalError, match="cannot be read"):
            await journal.load("game", since_wall=0)


CHILD = """
import asyncio, itertools, os, sys
from pathlib import Path
from feeds.io.journal import Journal

async def one(journal, worker):
    for n in itertools.count():
        message_id = f"{worker}-{n}"
        await journal.append_message("nba", message_id, os.urandom(500), received=0.0)
        print(message_id, flush=True)

async def main():
    journal = await Journal.open(Path(sys.argv[1]), now=lambda: 0.0)
    await asyncio.gather(*(one(journal, worker) for worker in range(20)))

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for acknowledgements in (1, 50, 400):
        acked: list[bytes] = []
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout is not None
        # A last line without its end was cut off by the kill: nobody has read that acknowledgement.
        while (line := await child.stdout.readline()).endswith(b"\n"):
            acked.append(line.strip())
            if len(acked) == acknowledgements:
                child.kill()
        assert await child.wait() == -signal.SIGKILL
        assert len(acked) >= acknowledgements
        async with opened(path) as journal:
            kept = {stored.message_id.encode() for stored in await journal.unsettled(["nba"])}
        assert set(acked) <= kept
        path.unlink()


def price(o: int) -> SealedRow:
    """Return a sealed price as the log writer hands it over."""
    body = {"price": {"mid": f"m{o % 2}", "out": [{"oid": "1", "milli": 1850}], "ver": o}}
    at = MediaTime(0, Ticks(o))
    cue = Cue(f"odds:p{o}", 1, Op.NEW, CueType.PRICE, CueClass.LOCKED, at, 3, None, 2, 5, 1, body, late_ms=7)
    return SealedRow(Entry(o, cue, MediaTime(0, Ticks(o + 1))), "odds", f"p{o}", 1, o + 1, {"said": 1.5, "stamp": None})


async def test_prices_lie_in_blocks_and_come_back_among_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.seal("game", [price(0), SealedRow(entry(1)), price(2)])
        await journal.seal("game", [price(3)])
        await journal.seal("other", [price(0)])
        record = await journal.load("game", since_wall=0)
        assert record.entries == [price(0), SealedRow(entry(1)), price(2), price(3)]
        assert not record.lost
        for taken in (price(0), price(2), price(3), SealedRow(entry(1))):
            with pytest.raises(JournalError):
                await journal.seal("game", [taken])
        # An offset between two of a block is free.
        with pytest.raises(JournalError):
            await journal.seal("game", [replace(price(1))])
        assert len((await journal.load("game", since_wall=0)).entries) == 4


async def test_replaced_prices_are_forgotten_one_by_one_or_by_the_block(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.seal("game", [price(o) for o in range(4)])
        await journal.seal("game", [price(o) for o in range(4, 8)])
        await journal.forget_prices("game", [1, 5, 99])
        assert [row.entry.o for row in (await journal.load("game", since_wall=0)).entries] == [0, 2, 3, 4, 6, 7]
        await journal.forget_prices("game", [3, 2, 0, 4])
        assert [row.entry.o for row in (await journal.load("game", since_wall=0)).entries] == [6, 7]


async def test_prices_grow_old_as_everything_does(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "j", clock) as journal:
        await journal.seal("game", [price(0)])
        clock.now = 1010.0
        await journal.seal("game", [price(1)])
        assert [row.entry.o for row in (await journal.load("game", since_wall=1005.0)).entries] == [1]
        await journal.trim(1005.0)
        assert [row.entry.o for row in (await journal.load("game", since_wall=0)).entries] == [1]


async def test_a_settled_message_makes_room_and_is_known_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        await journal.append_message("odds", "large", b"x" * 5_000, received=5.0)
        await journal.append_message("odds", "small", b"x" * 50, received=5.0)
        assert [len(stored.body) for stored in await journal.unsettled(["odds"])] == [5_000, 50]
        await journal.settle([1])
        assert await journal.append_message("odds", "large", b"x" * 5_000, received=6.0) == Appended(1, duplicate=True)
        assert [stored.message_id for stored in await journal.unsettled(["odds"])] == ["small"]


async def test_a_messages_number_is_known_before_it_is_on_disk_and_given_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "j") as journal:
        early, late = journal.next_message_seq(), journal.next_message_seq()
        assert (await journal.append_message("odds", "b", b"", received=5.0, seq=late)).seq == late
        assert (await journal.append_message("odds", "a", b"", received=5.0, seq=early)).seq == early
        # Sealed, though its message never came to be on disk.
        await journal.seal("game", [SealedRow(entry(0), "odds", "s", 1, late + 5)])
    async with opened(tmp_path / "j") as journal:
        assert journal.next_message_seq() == late + 6


async def test_a_journal_has_a_name_that_its_copies_bear(tmp_path: Path) -> None:
    names = iter(("one", "two", "three"))
    async with opened(tmp_path / "j") as journal:
        assert await journal.name(lambda: next(names)) == "one"
    shutil.copy(tmp_path / "j", tmp_path / "copy")
    for path, name in (("j", "one"), ("copy", "one"), ("other", "two")):
        async with opened(tmp_path / path) as journal:
            assert await journal.name(lambda: next(names)) == name
