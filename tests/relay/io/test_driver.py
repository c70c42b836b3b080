from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kernel.blackouts import Veil, Window, ZoneSet
from kernel.bus import epoch_signal, marks_topic, opened_signal, timings_topic
from kernel.io.aside import MANY
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.marks import Opened, ReleaseMark
from kernel.showings import Showing
from kernel.timeline import SegmentKey
from relay.io.driver import StreamRelay
from relay.spliced import tag_of
from tests.support.origins import write_list
from tests.support.playlists import timing
from tests.support.redirecting import BLOCKED, CITY, INSIDE, Pair


class Stage:
    """A relay that follows a folder, and what it says."""

    def __init__(self, folder: Path, *, max_hold_s: float = 15.0) -> None:
        self.folder = folder
        self.bus = MemoryBus(asyncio.get_running_loop().time)
        ref = (folder / "index.m3u8").as_uri()
        self.fetcher = Fetcher([ref], now=self.bus.now)
        self.relay = StreamRelay(Showing("game", ref, max_hold_s=max_hold_s), fetcher=self.fetcher, bus=self.bus)
        self.opened: asyncio.Queue[Opened] = asyncio.Queue()
        self.bus.listen(opened_signal("game"), self.opened.put_nowait)

    def release(self, msn: int, name: str) -> None:
        told = timing(msn, name)
        uri = (self.folder / name).as_uri()
        told = type(told)(**{**{slot: getattr(told, slot) for slot in told.__slots__}, "uri": uri})
        self.bus.publish(timings_topic("game"), msn, told)
        self.bus.publish(marks_topic("game"), msn, ReleaseMark("game", 0, msn, None, told.upto, self.bus.now()))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    write_list(tmp_path, ["a.ts", "b.ts"])
    stage = Stage(tmp_path)
    running = asyncio.create_task(stage.relay.run())
    yield stage
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await stage.fetcher.aclose()


async def test_a_marked_segment_opens(stage: Stage) -> None:
    stage.release(1, "b.ts")
    opened = await stage.opened.get()
    assert (opened.msn, opened.upto) == (1, timing(1, "b.ts").upto)
    assert "main/0-1.ts" in (stage.relay.presentation.text(None) or "")


async def test_a_mark_for_a_segment_not_yet_seen_makes_it_look_again(stage: Stage) -> None:
    stage.release(1, "b.ts")
    await stage.opened.get()
    write_list(stage.folder, ["a.ts", "b.ts", "c.ts"])
    stage.release(2, "c.ts")
    assert (await stage.opened.get()).msn == 2


async def test_known_segments_open_before_the_mark_is_published(stage: Stage) -> None:
    stage.release(0, "a.ts")
    await stage.opened.get()
    stage.release(1, "b.ts")
    # No waiting: in one process the hub hears of it within `publish`.
    assert stage.opened.get_nowait().msn == 1


async def test_without_feeds_it_opens_by_itself(tmp_path: Path) -> None:
    write_list(tmp_path, ["a.ts"])
    stage = Stage(tmp_path, max_hold_s=0.05)
    running = asyncio.create_task(stage.relay.run())
    opened = await stage.opened.get()
    assert (opened.msn, opened.upto) == (0, None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stage.fetcher.aclose()


async def test_an_origin_that_is_not_there_is_asked_again(tmp_path: Path) -> None:
    write_list(tmp_path, ["a.ts"])
    stage = Stage(tmp_path, max_hold_s=0.01)
    (tmp_path / "index.m3u8").rename(tmp_path / "gone.m3u8")
    running = asyncio.create_task(stage.relay.run())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await stage.opened.get()
    assert stage.relay.presentation.text(None) is None
    (tmp_path / "gone.m3u8").rename(tmp_path / "index.m3u8")
    assert (await stage.opened.get()).msn == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stage.fetcher.aclose()


async def test_it_says_in_which_epoch_it_opens(stage: Stage) -> None:
    stage.bus.signal(epoch_signal("game"), "e1")
    stage.release(0, "a.ts")
    assert (await stage.opened.get()).epoch == "e1"
    stage.bus.publish(marks_topic("game"), 1, ReleaseMark("game", 0, 1, None, timing(1, "b.ts").upto, 1e12))
    stage.bus.signal(epoch_signal("game"), "e2")
    # The mark of the log that is gone counts no more.
    assert stage.relay.presentation.window.next_deadline() != 1e12
    stage.bus.publish(marks_topic("game"), 2, ReleaseMark("game", 0, 1, None, timing(1, "b.ts").upto, 0.0))
    assert (await stage.opened.get()).epoch == "e2"


async def test_a_great_many_segments_open_as_few_do(tmp_path: Path) -> None:
    names = [f"s{number}.ts" for number in range(MANY + 200)]
    write_list(tmp_path, names, size=1)
    stage = Stage(tmp_path)
    running = asyncio.create_task(stage.relay.run())
    stage.release(len(names) - 2, names[-2])
    opened = await stage.opened.get()
    assert opened.msn == len(names) - 2
    text = stage.relay.presentation.text(None) or ""
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        f"main/0-{number}.ts" for number in range(len(names) - 1)
    ]
    stage.release(len(names) - 1, names[-1])
    assert stage.opened.get_nowait().msn == len(names) - 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stage.fetcher.aclose()


async def test_what_is_said_while_a_thread_is_at_work_is_heard_afterwards_in_its_order(stage: Stage) -> None:
    stage.release(0, "a.ts")
    await stage.opened.get()
    text = stage.relay.presentation.text(None)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    changing = asyncio.create_task(stage.relay._change(work, MANY + 1))
    await asyncio.to_thread(begun.wait)
    stage.release(1, "b.ts")
    write_list(stage.folder, ["a.ts", "b.ts", "c.ts"])
    assert stage.opened.empty()
    assert stage.relay.presentation.text(None) is text
    go_on.set()
    await changing
    stage.release(2, "c.ts")
    assert [(await stage.opened.get()).msn for _ in range(2)] == [1, 2]
    assert "main/0-2.ts" in (stage.relay.presentation.text(None) or "")


async def test_a_shorter_patience_counts_at_once(tmp_path: Path) -> None:
    write_list(tmp_path, ["a.ts", "b.ts"])
    stage = Stage(tmp_path, max_hold_s=3_600.0)
    running = asyncio.create_task(stage.relay.run())
    stage.release(0, "a.ts")
    assert (await stage.opened.get()).msn == 0
    stage.relay.change(replace(stage.relay.showing, max_hold_s=0.01))
    opened = await stage.opened.get()
    assert (opened.msn, opened.upto) == (1, None)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await stage.fetcher.aclose()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    pair = Pair(tmp_path)
    await pair.start()
    yield pair
    await pair.aclose()


def shown(pair: Pair, zones: ZoneSet) -> list[str]:
    """Return the segments in a list, and where its discontinuities are."""
    lines = (pair.game.text(None, zones) or "").splitlines()
    names = [
        line.removeprefix("main/") for line in lines if line == "#EXT-X-DISCONTINUITY" or line[:1] not in ("#", "")
    ]
    return ["|" if name.startswith("#") else name for name in names]


async def test_those_inside_have_another_stream_while_it_is_dark(pair: Pair) -> None:
    pair.game.on_blackouts({"city": CITY}, frozenset({"local"}))
    tag = tag_of("local")
    await pair.release("local", 0)
    for msn in range(3):
        await pair.release("game", msn)
        await pair.release("local", msn + 1)
    assert shown(pair, INSIDE) == ["0-0.ts", "|", f"{tag}-0-2.ts", f"{tag}-0-3.ts"]
    assert shown(pair, ()) == ["0-0.ts", "0-1.ts", "0-2.ts"]
    assert pair.game.text(None, ()) is pair.game.presentation.text(None)
    assert shown(pair, BLOCKED) == ["0-0.ts"]
    assert pair.game.is_blocked(None, BLOCKED)
    assert not pair.game.is_blocked(None, INSIDE)
    for msn in range(3, 6):
        await pair.release("game", msn)
        await pair.release("local", msn + 1)
    assert shown(pair, INSIDE)[-4:] == [f"{tag}-0-4.ts", "|", "0-4.ts", "0-5.ts"]
    assert pair.game.redirected("main", tag, SegmentKey(0, 3), INSIDE) is not None
    assert pair.game.redirected("main", tag, SegmentKey(0, 3), ()) is None
    assert pair.game.redirected("main", tag, SegmentKey(0, 5), INSIDE) is None
    assert pair.game.asset("main", "key-0000000000000000.bin", INSIDE) is None


async def test_one_that_is_in_force_at_once_has_the_other_stream_from_now_on(pair: Pair) -> None:
    for msn in range(4):
        await pair.release("game", msn)
        await pair.release("local", msn)
    inside = (Veil("now", Window(), "local", 0.0),)
    pair.game.on_blackouts({"now": Window()}, frozenset({"local"}))
    assert shown(pair, inside) == ["|", *(f"{tag_of('local')}-0-{msn}.ts" for msn in range(4))]
    pair.game.on_blackouts({}, frozenset())
    assert shown(pair, ())[-1] == "0-3.ts"
