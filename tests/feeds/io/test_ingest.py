from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feeds.io import ingest as module
from feeds.io import log_writer
from feeds.io.demux import Demuxer
from feeds.io.ingest import StreamIngest
from feeds.io.journal import Journal
from feeds.journal_records import SealedRow
from feeds.market_book import Kept
from feeds.steady_wall import SteadyWall
from feeds.vendors.contract import Adapted, ReceivedMessage
from kernel.bus import entries_topic, epoch_signal, marks_topic, safety_topic, state_signal, timings_topic
from kernel.cues import CueType, Entry, Fact, Op
from kernel.errors import JournalError
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.marks import ReleaseMark
from kernel.playlist import parse_media_playlist
from kernel.showings import Showing
from kernel.timeline import SegmentKey, SegmentTiming, StreamState

FIXTURES = Path(__file__).parents[3] / "fixtures" / "out"


class BadDisk(Journal):
    """A journal whose disk refuses some entries, and some timings, at first."""

    refusals = 0
    timing_refusals = 0

    def await_timings(self, count: int) -> None:
        self.n_awaited, self.have_come = count, asyncio.Event()

    async def append_timing(
        self, stream: str, n: int, timing: SegmentTiming, state: Mapping[str, Any] | None = None
    ) -> None:
        if self.timing_refusals:
            self.timing_refusals -= 1
            raise JournalError("no space left")
        await super().append_timing(stream, n, timing, state)
        if hasattr(self, "n_awaited"):
            self.n_awaited -= 1
            if not self.n_awaited:
                self.have_come.set()

    async def seal(
        self, stream: str, entries: Sequence[SealedRow], *, kept: Sequence[Kept] = (), settled: Sequence[int] = ()
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            raise JournalError("no space left")
        await super().seal(stream, entries, kept=kept, settled=settled)


class Desk:
    """One ingest on a folder, and all that it publishes, in order."""

    step_s = 0.0
    """How far its wall clock has been set."""

    def __init__(self, folder: Path, journal: Journal, demuxer: Demuxer, **showing: Any) -> None:
        loop = asyncio.get_running_loop()
        self.bus = MemoryBus(loop.time)
        self.seen: list[Any] = []
        self.came = asyncio.Event()
        ref = (folder / "index.m3u8").as_uri()
        self.fetcher = Fetcher([ref], now=self.bus.now)
        self.begin = parse_media_playlist((folder / "index.m3u8").read_text("utf-8")).segments[0].pdt or 0.0
        self.ingest = StreamIngest(
            Showing("game", ref, **showing),
            fetcher=self.fetcher,
            demuxer=demuxer,
            journal=journal,
            bus=self.bus,
            wall=SteadyWall(lambda: self.begin + 30 + self.step_s, lambda: 0.0),
            new_id=lambda: "epoch-1",
        )
        self.bus.subscribe(entries_topic("game"), lambda _, record: self._see(record))
        self.bus.subscribe(safety_topic("game"), lambda _, record: self._see(record))
        self.bus.subscribe(timings_topic("game"), lambda _, record: self._see(record))
        self.bus.subscribe(marks_topic("game"), lambda _, record: self._see(record))
        self.bus.listen(state_signal("game"), self._see)
        self.bus.listen(epoch_signal("game"), self._see)

    def _see(self, record: object) -> None:
        self.seen.append(record)
        self.came.set()

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.seen if isinstance(record, kind)]

    async def until(self, kind: type, count: int) -> list[Any]:
        async with asyncio.timeout(30):
            while len(self.of(kind)) < count:
                self.came.clear()
                await self.came.wait()
        return self.of(kind)

    def tell(self, id_: str, after_s: float, seq: int = 1, **more: Any) -> None:
        fact = Fact("desk", id_, Op.NEW, more.pop("type", CueType.PLAY), self.begin + after_s, {"txt": id_}, **more)
        self.ingest.deliver(ReceivedMessage(seq, "desk", self.begin + after_s, Adapted([fact]), "game"))


@pytest.fixture
async def demuxer() -> AsyncIterator[Demuxer]:
    demuxer = Demuxer()
    yield demuxer
    await demuxer.aclose()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await BadDisk.open(tmp_path / "journal.sqlite", now=lambda: 2_000_000_000.0)
    yield journal
    await journal.aclose()


@asynccontextmanager
async def running(desk: Desk, *, restored: bool = False) -> AsyncIterator[Desk]:
    if not restored:
        await desk.ingest.restore()
    task = asyncio.create_task(desk.ingest.run())
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await desk.fetcher.aclose()


async def test_a_recording_is_timed_whole_and_opened_by_one_mark(journal: Journal, demuxer: Demuxer) -> None:
    async with running(Desk(FIXTURES / "discontinuity", journal, demuxer)) as desk:
        timings: list[SegmentTiming] = await desk.until(SegmentTiming, 6)
        (mark,) = await desk.until(ReleaseMark, 1)
        await desk.until(StreamState, 2)
    ordered = sorted(timings, key=lambda timing: timing.key)
    # Newest first, so that one mark opens everything at once; the oldest timeline is 0 all the same.
    assert timings[0].msn == 5
    assert [timing.timeline for timing in ordered] == [0] * 3 + [1] * 3
    assert mark.upto == ordered[-1].upto
    assert desk.of(str) == ["epoch-1"]
    state = desk.of(StreamState)[-1]
    assert not desk.of(StreamState)[0].begun
    assert (state.live, state.ended, state.last) == (False, True, SegmentKey(0, 5))


@pytest.mark.parametrize(
    "name",
    ["aes128", "fmp4", "fmp4_cenc", "fmp4_edit_list", "fmp4_ranges", "hevc", "packed_aac", "packed_mp3", "programmes"],
)
async def test_every_kind_of_media_is_timed(journal: Journal, demuxer: Demuxer, name: str) -> None:
    count = len(parse_media_playlist((FIXTURES / name / "index.m3u8").read_text("utf-8")).segments)
    async with running(Desk(FIXTURES / name, journal, demuxer)) as desk:
        timings: list[SegmentTiming] = await desk.until(SegmentTiming, count)
    ordered = sorted(timings, key=lambda timing: timing.key)
    assert {timing.timeline for timing in ordered} == {0}
    assert ordered[0].start == 900_000
    assert [timing.end for timing in ordered[:-1]] == [timing.start for timing in ordered[1:]]


async def test_an_entry_is_on_the_bus_before_the_mark_of_its_picture(journal: Journal, demuxer: Demuxer) -> None:
    desk = Desk(FIXTURES / "plain", journal, demuxer)
    await desk.ingest.restore()
    desk.tell("last", 19.0)
    async with running(desk, restored=True):
        await desk.until(ReleaseMark, 1)
        kinds = [type(record) for record in desk.seen if isinstance(record, Entry | SegmentTiming | ReleaseMark)]
    assert kinds[:3] == [Entry, SegmentTiming, ReleaseMark]
    (entry,) = desk.of(Entry)
    assert entry.cue.late_ms is None
    assert (entry.cue.msn, entry.cue.off) == (9, 90_000)


async def test_what_is_on_the_bus_is_on_disk(journal: Journal, demuxer: Demuxer) -> None:
    async with running(Desk(FIXTURES / "plain", journal, demuxer)) as desk:
        appended = await journal.append_message("desk", "m1", b"{}", received=desk.begin)
        desk.tell("a", 3.0, seq=appended.seq)
        await desk.until(Entry, 1)
        record = await journal.load("game", since_wall=0.0)
        assert [row.entry for row in record.entries] == desk.of(Entry)
        await desk.until(SegmentTiming, 10)
        assert await journal.unsettled(["desk"]) == []


async def test_safety_waits_for_nothing(journal: Journal, demuxer: Demuxer) -> None:
    desk = Desk(FIXTURES / "plain", journal, demuxer)
    await desk.ingest.restore()
    desk.tell("stop", 0.0, type=CueType.SUSPEND)
    # No picture, no disk, no turn of the loop in between.
    (entry,) = desk.of(Entry)
    assert entry.due is None
    await desk.fetcher.aclose()


async def test_a_full_disk_delays_entries_but_never_video(
    journal: Journal, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "RETRY_S", 0.01)
    assert isinstance(journal, BadDisk)
    journal.refusals = 3
    desk = Desk(FIXTURES / "plain", journal, demuxer)
    await desk.ingest.restore()
    desk.tell("a", 19.0)
    async with running(desk, restored=True):
        await desk.until(ReleaseMark, 1)
        await desk.until(Entry, 1)
        desk.tell("b", 19.5)
        first, second = await desk.until(Entry, 2)
    assert [first.o, second.o] == [0, 1]
    kinds = [type(record) for record in desk.seen]
    assert kinds.index(ReleaseMark) < kinds.index(Entry)


async def test_a_timing_that_the_disk_refused_is_written_again(
    journal: Journal, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that the disk does not know would be missing after a restart, and cues behind it would come early."""
    monkeypatch.setattr(module, "DISK_RETRY_S", 0.001)
    assert isinstance(journal, BadDisk)
    journal.timing_refusals = 5
    journal.await_timings(10)
    async with running(Desk(FIXTURES / "plain", journal, demuxer)) as desk:
        timings = await desk.until(SegmentTiming, 10)
        await journal.have_come.wait()
        record = await journal.load("game", since_wall=0.0)
    assert [stored.timing for stored in record.timings] == timings
    assert [stored.n for stored in record.timings] == list(range(10))


async def test_a_timeline_that_is_on_no_disk_is_not_numbered_again(journal: Journal, demuxer: Demuxer) -> None:
    """Killed while the disk was full: a cursor from before would otherwise mean another picture."""
    assert isinstance(journal, BadDisk)
    journal.timing_refusals = 1_000_000
    lives = []
    for _ in range(3):
        async with running(Desk(FIXTURES / "discontinuity", journal, demuxer)) as desk:
            timings = await desk.until(SegmentTiming, len(list((FIXTURES / "discontinuity").glob("*.ts"))))
            lives.append({timing.timeline for timing in timings})
    assert len(lives[0]) > 1
    assert lives[0].isdisjoint(lives[1])
    assert lives[1].isdisjoint(lives[2])
    assert max(lives[0]) < min(lives[1]) <= max(lives[1]) < min(lives[2])


async def test_after_a_restart_the_log_and_the_timeline_go_on(journal: Journal, demuxer: Demuxer) -> None:
    async with running(Desk(FIXTURES / "wrap", journal, demuxer)) as first:
        first.tell("a", 3.0, stamp=1)
        n_segments = len(list((FIXTURES / "wrap").glob("*.ts")))
        await first.until(SegmentTiming, n_segments)
        await first.until(Entry, 1)
    second = Desk(FIXTURES / "wrap", journal, demuxer)
    await second.ingest.restore()
    assert second.of(SegmentTiming) == first.of(SegmentTiming)
    assert second.of(Entry) == first.of(Entry)
    assert [mark.key for mark in second.of(ReleaseMark)] == [SegmentKey(0, n_segments - 1)]
    async with running(second, restored=True):
        second.tell("a", 3.0, stamp=1)
        second.tell("b", 4.0)
        entries = await second.until(Entry, 2)
    assert [entry.o for entry in entries[-1:]] == [log_writer.NUMBERS_A_BLOCK]
    assert entries[-1].cue.id == "desk:b"
    assert len(second.of(SegmentTiming)) == n_segments


async def test_an_unreadable_segment_is_passed_over(
    tmp_path: Path, journal: Journal, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    folder = tmp_path / "media"
    shutil.copytree(FIXTURES / "plain", folder)
    names = sorted(path.name for path in folder.glob("*.ts"))
    (folder / names[4]).write_bytes(b"not a transport stream")
    (folder / names[6]).unlink()
    async with running(Desk(folder, journal, demuxer)) as desk:
        desk.tell("in the hole", 9.0)
        timings = await desk.until(SegmentTiming, 8)
        (entry,) = await desk.until(Entry, 1)
    assert {timing.timeline for timing in timings} == {0}
    # Its picture does not exist: it belongs to the next one.
    assert (entry.cue.msn, entry.cue.off) == (5, 0)


async def test_an_origin_that_fails_is_asked_again(
    tmp_path: Path, journal: Journal, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_POLL_S", 0.01)
    folder = tmp_path / "media"
    shutil.copytree(FIXTURES / "plain", folder)
    good = (folder / "index.m3u8").read_text("utf-8")
    desk = Desk(folder, journal, demuxer)
    for broken in ("<html>502</html>", good.replace("#EXT-X-TARGETDURATION", "#EXT-X-OTHER")):
        (folder / "index.m3u8").write_text(broken, "utf-8")
        await desk.ingest._poll()
    assert desk.of(StreamState) == []
    (folder / "index.m3u8").write_text(good, "utf-8")
    async with running(desk):
        await desk.until(SegmentTiming, 10)


async def test_what_is_old_is_forgotten(journal: Journal, demuxer: Demuxer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMINGS_A_TRIM", 1)
    monkeypatch.setattr(module, "MAX_TIMED_SEGMENTS", 4)
    async with running(Desk(FIXTURES / "plain", journal, demuxer)) as desk:
        # The newest, and as many older ones as are kept.
        await desk.until(SegmentTiming, 5)
        retained: list[SegmentTiming] = []
        desk.bus.subscribe(timings_topic("game"), lambda _, record: retained.append(record))
    assert len(retained) <= 5


@pytest.mark.parametrize(("dates_go_on_s", "taken"), [(0, 0), (600, 1)])
async def test_a_step_of_our_clock_is_taken_if_the_pictures_agree(
    tmp_path: Path, journal: Journal, demuxer: Demuxer, dates_go_on_s: int, taken: int
) -> None:
    folder = tmp_path / "media"
    shutil.copytree(FIXTURES / "plain", folder)
    head, *segments = (folder / "index.m3u8").read_text("utf-8").split("#EXT-X-PROGRAM-DATE-TIME:")
    head = head.replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "")

    def show(count: int) -> None:
        listed = segments[:count]
        if dates_go_on_s and count == 8:
            listed[-2] += "#EXT-X-DISCONTINUITY\n"
            listed[-1] = listed[-1].replace("20:00:14", "20:10:14")
        text = head + "".join("#EXT-X-PROGRAM-DATE-TIME:" + one for one in listed)
        (folder / "index.new").write_text(text.replace("#EXT-X-ENDLIST\n", ""), "utf-8")
        (folder / "index.new").replace(folder / "index.m3u8")

    show(6)
    async with running(Desk(folder, journal, demuxer)) as desk:
        await desk.until(SegmentTiming, 6)
        desk.tell("p1", 11.0)
        show(7)
        await desk.until(SegmentTiming, 7)
        skews = desk.ingest.feed.sequencer.skews
        assert len(skews._clocks["desk"].lags) == 1
        desk.step_s = 600.0
        show(8)
        await desk.until(SegmentTiming, 8)
        await desk.until(ReleaseMark, 3)
        assert desk.ingest._wall.taken == taken
        assert len(skews._clocks["desk"].lags) == 1 - taken
        assert desk.ingest._wall() == desk.begin + 30 + 600.0 * taken
