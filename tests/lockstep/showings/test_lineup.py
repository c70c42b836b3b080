from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from kernel.errors import JournalError
from kernel.io.memory_bus import MemoryBus
from kernel.showings import Showing
from lockstep.showings import lineup as module
from lockstep.showings.lineup import Lineup
from lockstep.showings.words import SHOWINGS

Deed = tuple[str, str, str | None]


class Recorder:
    """A house that notes what is asked of it, and fails while it is to."""

    def __init__(self, name: str, deeds: list[Deed]) -> None:
        self.name = name
        self.deeds = deeds
        self.fails = False
        self.heard: list[Showing] = []

    def hear(self, showing: Showing) -> None:
        self.heard.append(showing)

    async def add(self, showing: Showing) -> None:
        self._do("add", showing.event_id)

    async def change(self, showing: Showing) -> None:
        self._do("change", showing.event_id)

    async def remove(self, event_id: str) -> None:
        self._do("remove", event_id)

    def _do(self, what: str, event_id: str) -> None:
        if self.fails:
            raise JournalError("disk full")
        self.deeds.append((self.name, what, event_id))


class Rig:
    """A lineup over a bus, with two houses."""

    def __init__(self) -> None:
        self.bus = MemoryBus(lambda: 0.0)
        self.deeds: list[Deed] = []
        self.first, self.second = Recorder("first", self.deeds), Recorder("second", self.deeds)
        self.lineup = Lineup(self.bus, {"game": Showing("game", "file:///g.m3u8")}, [self.first, self.second])
        self.lineup.start()
        self._offset = 0

    def say(self, record: Mapping[str, Any]) -> None:
        self.bus.publish(SHOWINGS, self._offset, record)
        self._offset += 1

    def took(self) -> list[Deed]:
        deeds = list(self.deeds)
        self.deeds.clear()
        return deeds


def record(event_id: str = "cup", version: int = 1, origin: str = "file:///c.m3u8", **showing: Any) -> dict[str, Any]:
    return {"event_id": event_id, "version": version, "origin": origin, "showing": showing}


def gone(event_id: str = "cup", version: int = 9) -> dict[str, Any]:
    return {"event_id": event_id, "version": version, "origin": "x", "showing": None}


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_showing_comes_changes_and_goes(rig: Rig) -> None:
    rig.say(record())
    await rig.lineup.settle()
    assert rig.took() == [("first", "add", "cup"), ("second", "add", "cup")]
    assert rig.lineup.showings["cup"] == Showing("cup", "file:///c.m3u8")
    rig.say(record(hold_s=2))
    rig.say(record(hold_s=3))
    await rig.lineup.settle()
    assert rig.took() == [("first", "change", "cup"), ("second", "change", "cup")]
    assert rig.lineup.showings["cup"].hold_s == 3
    rig.say(record(hold_s=3))
    await rig.lineup.settle()
    assert rig.took() == []
    rig.say(gone())
    await rig.lineup.settle()
    assert rig.took() == [("first", "remove", "cup"), ("second", "remove", "cup")]
    assert list(rig.lineup.showings) == ["game"]


async def test_another_origin_is_another_showing(rig: Rig) -> None:
    rig.say(record())
    await rig.lineup.settle()
    rig.took()
    rig.say(gone())
    rig.say(record(origin="file:///d.m3u8"))
    await rig.lineup.settle()
    assert [what for _, what, _ in rig.took()] == ["remove", "remove", "add", "add"]
    assert rig.lineup.showings["cup"].origin == "file:///d.m3u8"


async def test_what_the_settings_have_is_theirs(rig: Rig) -> None:
    for one in (record("game"), gone("game")):
        rig.say(one)
        await rig.lineup.settle()
    assert rig.took() == []
    assert rig.lineup.showings["game"].origin == "file:///g.m3u8"


@pytest.mark.parametrize("bad", [{}, record(colour="red"), {"event_id": 5, "version": 1}])
async def test_what_cannot_be_read_changes_nothing(rig: Rig, bad: dict[str, Any]) -> None:
    rig.say(bad)
    rig.say(record())
    await rig.lineup.settle()
    assert len(rig.took()) == 2


async def test_what_fails_is_tried_again_and_keeps_nobody_waiting(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    rig.second.fails = True
    rig.say(record())
    await rig.lineup.settle()
    assert "cup" not in rig.lineup.showings
    assert not await rig.lineup.made_so(0.0)
    running = asyncio.create_task(rig.lineup.run())
    rig.second.fails = False
    assert await rig.lineup.made_so(30.0)
    assert "cup" in rig.lineup.showings
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    rig.lineup.stop()
    rig.say(gone())
    assert await rig.lineup.made_so(0.0)


async def test_who_publishes_here_need_not_wait_for_the_bus(rig: Rig) -> None:
    rig.lineup.tell(record(version=3, hold_s=3))
    assert not await rig.lineup.made_so(0.0)
    await rig.lineup.settle()
    # What comes over the bus later is older, or the same.
    rig.took()
    rig.say(record(version=2, hold_s=2))
    rig.say(record(version=3, hold_s=3))
    await rig.lineup.settle()
    assert rig.took() == []
    assert rig.lineup.showings["cup"].hold_s == 3


async def test_what_must_not_wait_is_heard_at_once(rig: Rig) -> None:
    rig.say(record())
    assert rig.first.heard == []
    await rig.lineup.settle()
    rig.say(record(hold_s=2))
    assert [one.hold_s for one in rig.first.heard] == [2]
    rig.say(gone())
    rig.say(record(origin="file:///d.m3u8"))
    assert len(rig.first.heard) == 1
