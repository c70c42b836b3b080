from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feeds.align import TimelineMap
from feeds.io.journal import Journal
from feeds.io.log_writer import LogWriter
from feeds.io.source_desk import SourceDesk
from feeds.release import ReleaseSchedule
from feeds.sequencer import Sequencer
from feeds.vendors.contract import Adapted, Alive, ReceivedMessage
from kernel.bus import feeds_signal, progress_signal, safety_topic
from kernel.cues import Entry
from kernel.errors import JournalError
from kernel.feed_state import FeedProgress, FeedState, Health
from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing, Source

T0 = 1_800_000_000.0


class Desk:
    """The sources of one showing, on a clock that is set by hand."""

    def __init__(self, journal: Journal, *sources: Source) -> None:
        self.now = 100.0
        self.bus = MemoryBus(lambda: self.now)
        self.showing = Showing("game", "folder", sources)
        self.sequencer = Sequencer(TimelineMap(), ReleaseSchedule("game"))
        self.journal = journal
        self.writer = LogWriter(
            "game", self.sequencer, journal=journal, bus=self.bus, wall=lambda: T0, new_id=lambda: "e"
        )
        self.desk = SourceDesk(
            self.showing, self.sequencer, self.writer, journal=journal, bus=self.bus, wall=lambda: T0 + self.now
        )
        self.told: list[tuple[FeedState, ...]] = []
        self.safety: list[Entry] = []
        self.progress: list[FeedProgress] = []
        self.bus.listen(feeds_signal("game"), self.told.append)
        self.bus.listen(progress_signal("game"), self.progress.append)
        self.bus.subscribe(safety_topic("game"), lambda _, entry: self.safety.append(entry))

    async def begin(self) -> None:
        record = await self.journal.load("game", since_wall=0.0)
        await self.writer.begin(record)
        await self.writer.restore(record)
        self.desk.restore(record)

    def heard(self, source: str, alive: Alive | None = None, *, again: bool = False) -> None:
        self.desk.heard(ReceivedMessage(1, source, T0, Adapted([], alive), "game", again))

    def states(self) -> list[Health]:
        return [state.state for state in self.told[-1]]


class NoDisk(Journal):
    """A journal that keeps no state."""

    async def save_state(self, stream: str, state: object) -> None:
        raise JournalError("no space left")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path / "journal.sqlite", now=lambda: 2_000_000_000.0)
    yield journal
    await journal.aclose()


async def test_silence_is_told_and_suspends_at_once(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep", interval_s=2.0), Source("odds", "lockstep"))
    await desk.begin()
    assert desk.states() == [Health.RECOVERING, Health.UNMONITORED]
    desk.now = 104.0
    desk.desk._look()
    assert desk.states() == [Health.DOWN, Health.UNMONITORED]
    (suspend,) = desk.safety
    assert suspend.cue.id == "plays:~health"
    desk.heard("plays")
    assert desk.states() == [Health.RECOVERING, Health.UNMONITORED]
    assert len(desk.safety) == 1


async def test_a_silence_that_nobody_looked_at_suspends_all_the_same(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep", interval_s=2.0))
    await desk.begin()
    desk.now = 200.0
    desk.heard("plays")
    assert len(desk.safety) == 1
    assert desk.states() == [Health.RECOVERING]


async def test_what_was_said_before_a_restart_is_no_sign_of_life(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep"))
    await desk.begin()
    desk.heard("plays", Alive(2.0, None), again=True)
    assert desk.states() == [Health.UNMONITORED]


async def test_progress_is_told_when_it_moves(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep"))
    await desk.begin()
    for to in (T0, T0, T0 + 2):
        desk.heard("plays", Alive(2.0, to))
    assert desk.progress == [FeedProgress("plays", T0), FeedProgress("plays", T0 + 2)]


async def test_a_promise_outlives_a_restart_and_so_does_a_fall(journal: Journal) -> None:
    first = Desk(journal, Source("plays", "lockstep"))
    await first.begin()
    first.heard("plays", Alive(2.0, None))
    await first.desk._keep()
    first.now = 110.0
    first.desk._look()
    await first.writer.seal()
    second = Desk(journal, Source("plays", "lockstep"))
    await second.begin()
    assert second.states() == [Health.RECOVERING]
    n_before = len(second.safety)
    second.now = 104.0
    second.desk._look()
    # It is down as before: its suspend is in the log.
    assert second.states() == [Health.DOWN]
    assert len(second.safety) == n_before == 1
    second.heard("plays")
    assert not second.sequencer.markets.book.falls["plays"].lasts


async def test_it_looks_when_a_limit_passes(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep", interval_s=0.01))
    await desk.begin()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    desk.bus.now = lambda: 100.0 + loop.time() - begun
    running = asyncio.create_task(desk.desk.run())
    came = asyncio.Event()
    desk.bus.subscribe(safety_topic("game"), lambda _, __: came.set())
    async with asyncio.timeout(10):
        await came.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert desk.states() == [Health.DOWN]


async def test_an_absurd_clock_is_told(journal: Journal) -> None:
    desk = Desk(journal, Source("plays", "lockstep"))
    await desk.begin()
    desk.sequencer.skews.absurd("plays", 86_400.0 * 9)
    desk.heard("plays")
    assert "clock off by +9 days" in desk.told[-1][0].why
    assert desk.sequencer.skews.take_news() == []


async def test_a_promise_that_the_disk_does_not_take_is_kept_later(tmp_path: Path) -> None:
    journal = await NoDisk.open(tmp_path / "journal.sqlite", now=lambda: 2_000_000_000.0)
    try:
        desk = Desk(journal, Source("plays", "lockstep"))
        await desk.begin()
        desk.heard("plays", Alive(2.0, None))
        await desk.desk._keep()
        assert desk.writer.faults == 1
    finally:
        await journal.aclose()
