from __future__ import annotations

import json
from pathlib import Path

from structlog.testing import capture_logs

from kernel.blackouts import BlackoutRecord
from kernel.bus import blackouts_topic, epoch_signal
from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing
from lockstep.blackouts import BlackoutFiles, BlackoutHouse
from relay.blackouts import BlackoutIndex
from relay.cut_ledger import cuts_topic
from relay.io.blackout_store import BlackoutStore
from relay.io.cut_store import CutStore
from tests.support.doors import open_door

SHOWINGS = {"game": Showing("game", "http://127.0.0.1:9/index.m3u8")}
TEXT = json.dumps({"event_id": "game", "blackout_zones": [{"type": "all", "action": "block"}]})


async def test_what_is_on_disk_is_known_before_anybody_is_admitted(tmp_path: Path) -> None:
    store, door = await BlackoutStore.open(tmp_path / "blackouts.sqlite"), await open_door(tmp_path)
    await store.make(BlackoutRecord("blk_1", "game", TEXT, 1.0, "ops"))
    cuts = await CutStore.open(tmp_path / "cuts.sqlite")
    for name in ("blk_1", "blk_0"):
        await cuts.keep("game", "e1", [["edge", 0, 10, name, True, False]])
    bus, index = MemoryBus(lambda: 0.0), BlackoutIndex()
    house = BlackoutHouse(bus, index, BlackoutFiles(store, cuts), door, SHOWINGS)
    await house.refill()
    assert [one.record.blackout_id for one in index.of("game")] == ["blk_1"]
    assert len(house.routes()) == 4
    # So is where it opened and closed; of one that is gone nobody needs to know.
    kept: list[object] = []
    bus.signal(epoch_signal("game"), "e1")
    bus.subscribe(cuts_topic("game"), lambda _, records: kept.extend(records))
    assert kept == [["edge", 0, 10, "blk_1", True, False]]
    # Where the disk is another process's, by the bus.
    elsewhere = BlackoutIndex()
    other = BlackoutHouse(bus, elsewhere, None, None, SHOWINGS)
    await other.refill()
    assert (len(elsewhere), other.routes()) == (1, [])
    await other.aclose()
    await house.aclose()
    bus.publish(blackouts_topic(), 9, BlackoutRecord("blk_1", "game", None, 1.0, "ops"))
    assert (len(index), len(elsewhere)) == (1, 1)
    await door.aclose()


async def test_what_is_not_understood_is_said() -> None:
    bus, index = MemoryBus(lambda: 0.0), BlackoutIndex()
    house = BlackoutHouse(bus, index, None, None, {})
    await house.refill()
    with capture_logs() as logs:
        bus.publish(blackouts_topic(), 0, BlackoutRecord("blk_1", "game", '{"moon":1}', 1.0, "ops"))
    assert [(line["event"], line["blackout_id"]) for line in logs] == [("blackout.not_understood", "blk_1")]
    assert index.broken() == ["blk_1"]
    await house.aclose()
