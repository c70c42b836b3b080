"""The log through restarts, killed at each step: what is on the bus is on disk, and nothing is numbered twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from feeds.align import TimedSegment, TimelineMap
from feeds.io import log_writer as module
from feeds.io.journal import Journal
from feeds.io.log_writer import LogWriter
from feeds.journal_records import SealedRow
from feeds.market_book import Kept
from feeds.markets import Markets
from feeds.price_window import PriceWindow
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sequencer
from kernel.bus import entries_topic, epoch_signal, safety_topic
from kernel.cues import Cue, CueClass, CueType, Entry, Fact, Op
from kernel.errors import JournalError
from kernel.io.memory_bus import MemoryBus
from kernel.pts import Ticks
from kernel.timeline import MediaTime
from tests.support.playlists import timing

T0 = 1_800_000_000.0


class Killed(BaseException):
    """The process is no more."""


class FragileJournal(Journal):
    """A journal whose process is killed before or after one of its writes."""

    kill_at = 0
    refusals = 0

    def _step(self) -> None:
        self.kill_at -= 1
        if self.kill_at == 0:
            raise Killed

    async def reserve(self, stream: str, upto: int, *, ver: int = 0) -> None:
        self._step()
        await super().reserve(stream, upto, ver=ver)
        self._step()

    async def seal(
        self, stream: str, entries: Sequence[SealedRow], *, kept: Sequence[Kept] = (), settled: Sequence[int] = ()
    ) -> None:
        self._step()
        if self.refusals:
            self.refusals -= 1
            raise JournalError("no space left")
        await super().seal(stream, entries, kept=kept, settled=settled)
        self._step()


class Life:
    """One process: a sequencer, its writer, and what it published."""

    def __init__(self, journal: Journal, published: list[Entry], new_id: Callable[[], str] = lambda: "e1") -> None:
        self.journal = journal
        self.bus = MemoryBus(lambda: 0.0)
        self.published = published
        self.came = asyncio.Event()
        self.epochs: list[str] = []
        map_ = TimelineMap()
        for msn in range(3):
            told = timing(msn, f"{msn}.ts", wall=T0 + 2 * msn)
            map_.add(TimedSegment(told, tuple(Ticks(told.start + 3600 * index) for index in range(50))))
        self.sequencer = Sequencer(map_, ReleaseSchedule("game"), markets=Markets())
        self.writer = LogWriter(
            "game", self.sequencer, journal=journal, bus=self.bus, wall=lambda: T0 + 9, new_id=new_id
        )
        self.bus.listen(epoch_signal("game"), self.epochs.append)

    async def begin(self) -> None:
        record = await self.journal.load("game", since_wall=0.0)
        await self.writer.begin(record)
        await self.writer.restore(record)
        for topic in (entries_topic, safety_topic):
            self.bus.subscribe(topic("game"), lambda _, entry: self._see(entry))

    def _see(self, entry: Entry) -> None:
        if entry not in self.published:
            self.published.append(entry)
        self.came.set()

    def deliver(self, seq: int, facts: list[Fact]) -> None:
        self.writer.deliver(facts, message_seq=seq, received=T0 + seq, live=True)


def some_entry(o: int) -> Entry:
    cue = Cue("desk:x", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, MediaTime(0, Ticks(0)), 0, None, 0, None, 0, {})
    return Entry(o, cue, MediaTime(0, Ticks(0)))


def market(id_: str, mid: str, st: str, at: float) -> Fact:
    return Fact("desk", id_, Op.NEW, CueType.MARKET, T0 + at, {"market": {"mid": mid, "st": st}})


def play(id_: str, at: float) -> Fact:
    return Fact("desk", id_, Op.NEW, CueType.PLAY, T0 + at, {"txt": id_})


MESSAGES: list[list[Fact]] = [
    [market("a1", "a", "open", 0.5), market("b1", "b", "open", 0.5)],
    [play("dunk", 1.0)],
    [Fact("desk", "s", Op.NEW, CueType.SUSPEND, T0 + 1.5, {"market": {"mid": "a"}})],
    [play("steal", 2.0), market("a2", "a", "open", 2.5)],
]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[FragileJournal]:
    journal = await FragileJournal.open(tmp_path / "journal.sqlite", now=lambda: 2_000_000_000.0)
    yield journal
    await journal.aclose()


async def _live(life: Life) -> None:
    """Begin, take in what is owed as the ingress would, and seal message by message."""
    await life.begin()
    for stored in await life.journal.unsettled(["desk"]):
        life.deliver(stored.seq, MESSAGES[stored.seq - 1])
        await life.writer.seal()


@pytest.mark.parametrize("kill_at", range(1, 14))
async def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(journal: FragileJournal, kill_at: int) -> None:
    for number, facts in enumerate(MESSAGES):
        await journal.append_message("desk", f"m{number}", b"{}", received=T0, open_facts=len(facts))
    published: list[Entry] = []
    journal.kill_at = kill_at
    with contextlib.suppress(Killed):
        await _live(Life(journal, published))
    journal.kill_at = 0
    before = list(published)
    again = Life(journal, published)
    await _live(again)
    assert await journal.unsettled(["desk"]) == []
    kept = [row.entry for row in (await journal.load("game", since_wall=0.0)).entries]
    # What subscribers saw is what the journal has; safety may have gone out ahead of a kill and come again.
    assert [entry for entry in before if entry.due is not None and entry not in kept] == []
    assert len({entry.o for entry in published}) == len(published)
    log = [entry for entry in kept if entry.due is not None]
    plays = [entry.cue.id for entry in log if entry.cue.type is CueType.PLAY]
    assert sorted(plays) == ["desk:dunk", "desk:steal"]
    # Both markets end open, above the suspend's floor, in every history.
    floor = max(entry.cue.body["ver"] for entry in published if entry.due is None)
    opened: dict[str, int] = {}
    for entry in log:
        said: Any = entry.cue.body.get("market", {})
        if said.get("st") == "open":
            opened[said["mid"]] = max(opened.get(said["mid"], 0), said["ver"])
    assert set(opened) == {"a", "b"}
    assert all(ver > floor for ver in opened.values())
    vers = [entry.cue.body["ver"] for entry in published if entry.due is None]
    assert vers == sorted(vers)


async def test_numbering_goes_on_beyond_the_block(journal: FragileJournal) -> None:
    first = Life(journal, [])
    await first.begin()
    first.deliver(1, MESSAGES[0])
    await first.writer.seal()
    later = Life(journal, [])
    await later.begin()
    later.deliver(2, MESSAGES[1])
    await later.writer.seal()
    assert [entry.o for entry in later.published] == [0, 1, module.NUMBERS_A_BLOCK]
    assert later.sequencer.markets.book.next_ver == module.NUMBERS_A_BLOCK + 1
    assert later.epochs == first.epochs == ["e1"]


async def test_a_log_whose_end_is_lost_begins_a_new_epoch_with_everything_suspended(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = await Journal.open(path, now=lambda: 2_000_000_000.0)
    first = Life(journal, [])
    await first.begin()
    first.deliver(1, MESSAGES[0])
    await first.writer.seal()
    await journal.aclose()
    copy = path.read_bytes()
    journal = await Journal.open(path, now=lambda: 2_000_000_000.0)
    second = Life(journal, [])
    await second.begin()
    second.deliver(2, MESSAGES[1])
    await second.writer.seal()
    highest = second.sequencer.markets.book.next_ver
    await journal.aclose()
    path.write_bytes(copy)
    journal = await Journal.open(path, now=lambda: 2_000_000_000.0)
    try:
        third = Life(journal, [], new_id=lambda: "e2")
        await third.begin()
        assert third.epochs == ["e2"]
        # Whether a suspend is among what is lost nobody knows: everything is, until its source opens it.
        (safety,) = [entry for entry in third.published if entry.due is None]
        assert safety.cue.body["scope"] == "event"
        assert safety.cue.body["ver"] >= highest
        assert not third.sequencer.markets.book.is_out(third.sequencer.markets.book.market("a"))
        await third.writer.seal()
    finally:
        await journal.aclose()


async def test_a_burst_of_safety_waits_for_its_numbers(journal: FragileJournal) -> None:
    life = Life(journal, [])
    await life.begin()
    facts = [Fact("desk", f"s{n}", Op.NEW, CueType.SUSPEND, None, {}) for n in range(module.NUMBERS_A_BLOCK + 5)]
    life.deliver(1, facts)
    assert len(life.published) == module.NUMBERS_A_BLOCK
    await life.writer.seal()
    assert [entry.o for entry in life.published] == list(range(module.NUMBERS_A_BLOCK + 5))


async def test_what_the_disk_refused_is_tried_again(journal: FragileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    life = Life(journal, [])
    await life.begin()
    journal.refusals = 2
    running = asyncio.create_task(life.writer.run())
    life.deliver(1, MESSAGES[1])
    async with asyncio.timeout(10):
        await life.came.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert life.writer.faults == 2
    assert [entry.o for entry in life.published] == [0]


async def test_a_message_without_facts_is_settled_already(journal: FragileJournal) -> None:
    life = Life(journal, [])
    await life.begin()
    life.deliver(1, [])
    assert life.writer._settled == []
    # One whose facts are all known is settled by itself.
    life.deliver(2, MESSAGES[1])
    life.deliver(3, MESSAGES[1])
    await life.writer.seal()
    life.deliver(4, MESSAGES[1])
    await life.writer.seal()
    assert life.writer._settled == []


async def test_a_caller_that_is_cancelled_leaves_nothing_half_done(journal: FragileJournal) -> None:
    life = Life(journal, [])
    await life.begin()
    life.deliver(1, MESSAGES[1])
    sealing = asyncio.create_task(life.writer.seal())
    await asyncio.sleep(0)
    sealing.cancel()
    await asyncio.gather(sealing, return_exceptions=True)
    life.deliver(2, MESSAGES[3])
    await life.writer.seal()
    assert [entry.o for entry in life.published] == [0, 1, 2]


async def test_what_is_old_is_forgotten_on_the_bus(journal: FragileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RETAINED_ENTRIES", 1)
    life = Life(journal, [])
    await life.begin()
    life.deliver(1, MESSAGES[0])
    await life.writer.seal()
    life.writer.trim()
    kept: list[int] = []
    life.bus.subscribe(entries_topic("game"), lambda o, _: kept.append(o))
    assert kept == [1]


def prices(count: int, at: float = 1.0) -> list[Fact]:
    return [
        Fact("desk", f"p{number}", Op.NEW, CueType.PRICE, T0 + at, {"price": {"mid": f"m{number % 3}", "out": []}})
        for number in range(count)
    ]


async def test_a_large_message_is_taken_in_by_pieces_and_a_suspend_does_not_wait_for_them(
    journal: FragileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    life = Life(journal, [])
    await life.begin()
    await journal.append_message("desk", "m1", b"{}", received=T0, open_facts=9)
    life.deliver(1, prices(9))
    assert life.sequencer.counts.waiting == 0
    stop = Fact("desk", "s", Op.NEW, CueType.SUSPEND, T0 + 1.5, {"market": {"mid": "m0"}})
    life.deliver(3, [stop])
    assert [entry.cue.type for entry in life.published] == [CueType.SUSPEND]
    life.deliver(2, [play("dunk", 1.0)])
    await life.writer.seal()
    facts = [entry.cue.id for entry in life.published if entry.due is not None and "~" not in entry.cue.id]
    assert facts == [*[f"desk:p{number}" for number in range(9)], "desk:dunk"]
    assert await journal.unsettled(["desk"]) == []
    # What came before the suspend counts as overtaken by it.
    (floor,) = [entry.cue.body["ver"] for entry in life.published if entry.due is None]
    assert all(entry.cue.body["price"]["ver"] <= floor for entry in life.published if entry.cue.type is CueType.PRICE)


async def test_pieces_are_taken_in_though_nobody_seals(
    journal: FragileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    life = Life(journal, [])
    await life.begin()
    life.deliver(1, prices(9))
    for _ in range(4):
        await asyncio.sleep(0)
    assert life.sequencer.counts.waiting == 9
    # All of it known already: settled by itself, with its last piece.
    life.deliver(2, prices(9))
    for _ in range(4):
        await asyncio.sleep(0)
    assert life.writer._settled == [2]


async def test_replaced_prices_are_forgotten_on_the_bus_and_on_disk(
    journal: FragileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORGET_AT_ONCE", 2)
    life = Life(journal, [])
    life.writer._prices = PriceWindow(keep=1)
    await life.begin()
    life.deliver(1, prices(6))
    await life.writer.seal()
    kept: list[int] = []
    life.bus.subscribe(entries_topic("game"), lambda o, _: kept.append(o))
    assert kept == [3, 4, 5]
    assert [row.entry.o for row in (await journal.load("game", since_wall=0.0)).entries] == [3, 4, 5]
    assert len(life.published) == 6


async def test_of_pieces_of_one_market_the_last_is_put_on_disk(journal: FragileJournal) -> None:
    life = Life(journal, [])
    await life.begin()
    life.deliver(1, prices(6))
    await life.writer.seal()
    kept = (await journal.load("game", since_wall=0.0)).kept
    assert [(piece.key, piece.ver) for piece in kept] == [("market/m0", 4), ("market/m1", 5), ("market/m2", 6)]


async def test_a_bus_that_has_seen_more_than_the_journal_promised_tells_that_its_end_is_lost(
    journal: FragileJournal,
) -> None:
    first = Life(journal, [], new_id=lambda: "e1")
    await first.begin()
    later = Life(journal, [], new_id=lambda: "e2")
    # What a bus that outlives us has of the same log.
    later.bus.begin(entries_topic("game"), "e1")
    later.bus.publish(entries_topic("game"), 9 * module.NUMBERS_A_BLOCK, some_entry(9 * module.NUMBERS_A_BLOCK))
    await later.begin()
    assert later.epochs == ["e2"]
    assert later.bus.head(entries_topic("game")) == -1


async def test_who_lets_go_leaves_a_log_that_the_next_one_goes_on_with(
    journal: FragileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    life = Life(journal, [])
    await life.begin()
    for number, facts in enumerate([MESSAGES[0], prices(9), MESSAGES[2]], 1):
        await journal.append_message("desk", f"m{number}", b"{}", received=T0, open_facts=len(facts))
        life.deliver(number, facts)
    # Pieces of a large message wait, safety is out but not on disk, and somebody seals.
    sealing = asyncio.create_task(life.writer.seal())
    await asyncio.sleep(0)
    await life.writer.end()
    await sealing
    before = [entry.o for entry in life.published]
    for _ in range(4):
        await asyncio.sleep(0)
    assert [entry.o for entry in life.published] == before
    after = Life(journal, [])
    await after.begin()
    for stored in await journal.unsettled(["desk"]):
        after.deliver(stored.seq, [MESSAGES[0], prices(9), MESSAGES[2]][stored.seq - 1])
    await after.writer.seal()
    known = {entry.cue.id for entry in after.published if entry.due is not None}
    assert {f"desk:p{number}" for number in range(9)} <= known
    numbers = [entry.o for entry in [*life.published, *after.published]]
    told = {entry.o: entry for entry in [*life.published, *after.published]}
    assert all(told[entry.o] == entry for entry in life.published)
    assert len(set(numbers)) == len(told)
