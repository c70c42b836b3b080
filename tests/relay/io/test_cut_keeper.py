from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from structlog.testing import capture_logs

from kernel.bus import epoch_signal
from kernel.errors import JournalError
from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing
from relay.cut_ledger import cut_found_signal, cuts_topic
from relay.cuts import Record
from relay.io.cut_keeper import TOGETHER, CutKeeper, condensed
from relay.io.cut_store import CutStore, KeptCuts

OPENS: Record = ["edge", 0, 10, "a", True, False]
CLOSES: Record = ["edge", 0, 20, "a", False, False]
PLACE: Record = ["place", 0, 10, "local", "main", True, 100, 3, 4]


class Rig:
    """One life of the process that keeps, and what is heard of it."""

    def __init__(self, store: CutStore) -> None:
        self.bus = MemoryBus(lambda: 0.0)
        self.showings = {"game": Showing("game", "http://127.0.0.1:9/x.m3u8")}
        names = iter("xyz")
        self.keeper = CutKeeper(store, self.bus, self.showings, new_id=lambda: next(names))
        self.told: asyncio.Queue[tuple[int, list[Record]]] = asyncio.Queue()
        self.bus.subscribe(cuts_topic("game"), lambda number, records: self.told.put_nowait((number, records)))

    def say(self, *records: Record, epoch: str = "e1") -> None:
        self.bus.signal(cut_found_signal("game"), [epoch, list(records)])


async def begun(path: Path, *blackouts: str) -> Rig:
    rig = Rig(await CutStore.open(path))
    await rig.keeper.refill(blackouts)
    rig.bus.signal(epoch_signal("game"), "e1")
    return rig


async def test_what_is_said_first_is_kept_and_told_in_every_life(tmp_path: Path) -> None:
    rig = await begun(tmp_path / "cuts.sqlite", "a")
    rig.say(OPENS)
    assert await rig.told.get() == (1, [OPENS])
    # Somebody else says the same, and more.
    rig.say(OPENS, ["edge", 0, 12, "a", True, True], CLOSES)
    assert await rig.told.get() == (2, [CLOSES])
    rig.say(["edge", 0, 5, "b", True, False], epoch="e0")
    await rig.keeper.aclose()
    again = await begun(tmp_path / "cuts.sqlite", "a")
    assert again.told.get_nowait() == (2, [OPENS, CLOSES])
    again.say(CLOSES, PLACE)
    assert await again.told.get() == (3, [PLACE])
    # A log that begins anew knows nothing of it; the relays say it again.
    again.bus.signal(epoch_signal("game"), "e2")
    again.say(OPENS, epoch="e2")
    assert await again.told.get() == (4, [OPENS])
    await again.keeper.aclose()
    third = await begun(tmp_path / "cuts.sqlite", "a")
    assert third.told.empty()
    await third.keeper.aclose()


async def test_what_concerns_no_blackout_any_more_is_forgotten(tmp_path: Path) -> None:
    rig = await begun(tmp_path / "cuts.sqlite", "a", "b")
    rig.say(OPENS, PLACE, ["edge", 0, 30, "b", True, False], ["lead", 0, 30, "local", 7])
    await rig.told.get()
    await rig.keeper.aclose()
    again = await begun(tmp_path / "cuts.sqlite", "b")
    assert again.told.get_nowait() == (1, [["edge", 0, 30, "b", True, False], ["lead", 0, 30, "local", 7]])
    await again.keeper.aclose()


async def test_showings_come_and_go(tmp_path: Path) -> None:
    rig = await begun(tmp_path / "cuts.sqlite")
    rig.say(OPENS)
    await rig.told.get()
    game = rig.showings.pop("game")
    rig.keeper.watch()
    rig.say(CLOSES)
    heard: list[int] = []
    rig.bus.subscribe(cuts_topic("game"), lambda number, _: heard.append(number))
    assert heard == []
    rig.showings["game"] = game
    # What is retained of the signals is heard: the epoch, and what was said last.
    rig.keeper.watch()
    assert await rig.told.get() == (1, [OPENS])
    assert await rig.told.get() == (2, [CLOSES])
    await rig.keeper.aclose()


class FullDisk(CutStore):
    is_full = True
    asked: asyncio.Event

    async def keep(self, event_id: str, epoch: str, records: list[Record]) -> int:
        self.asked.set()
        if self.is_full:
            raise JournalError("the disk is full")
        return await super().keep(event_id, epoch, records)


async def test_what_the_disk_does_not_take_is_kept_when_it_is_said_again(tmp_path: Path) -> None:
    store = await FullDisk.open(tmp_path / "cuts.sqlite")
    store.asked = asyncio.Event()
    rig = Rig(store)
    await rig.keeper.refill(())
    rig.bus.signal(epoch_signal("game"), "e1")
    with capture_logs() as logs:
        rig.say(OPENS)
        await store.asked.wait()
    assert [line["event"] for line in logs] == ["cuts.not_kept"]
    store.is_full = False
    rig.say(OPENS)
    assert await rig.told.get() == (1, [OPENS])
    await rig.keeper.aclose()


async def test_what_cannot_be_read_keeps_nobody_from_anything(tmp_path: Path) -> None:
    path = tmp_path / "cuts.sqlite"
    await (await CutStore.open(path)).aclose()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO cuts (event_id, epoch, body) VALUES ('game', 'e1', '[')")
    db.close()
    with capture_logs() as logs:
        rig = await begun(path)
        rig.bus.signal(cut_found_signal("game"), ["e1", [["moon"]]])
        rig.bus.signal(cut_found_signal("game"), ["e1"])
        rig.say(OPENS)
        assert await rig.told.get() == (2, [OPENS])
    assert [line["event"] for line in logs] == ["cuts.not_understood"] * 3
    await rig.keeper.aclose()


def test_what_was_kept_in_many_pieces_is_told_in_few() -> None:
    found = [KeptCuts(n, "game", "e1", [["lead", 0, 10, f"s{n}", n]]) for n in range(2, TOGETHER + 3)]
    found.insert(0, KeptCuts(1, "game", "e1", [OPENS]))
    kept = condensed(found, ["a"])
    assert [(one.number, len(one.records)) for one in kept] == [(TOGETHER, TOGETHER), (TOGETHER + 2, 2)]
    assert condensed(kept, ["a"]) == kept
    assert condensed(found, []) == []
    assert condensed([*found, KeptCuts(900, "game", "e2", [OPENS])], ["a"]) == [KeptCuts(900, "game", "e2", [OPENS])]
