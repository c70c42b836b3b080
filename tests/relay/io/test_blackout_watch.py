from __future__ import annotations

import asyncio
import json
import threading

import pytest
from structlog.testing import capture_logs

from kernel.blackouts import BlackoutRecord
from kernel.bus import blackouts_topic
from kernel.io.memory_bus import MemoryBus
from relay.blackouts import Blackout, BlackoutIndex, compiled
from relay.io import blackout_watch
from relay.io.blackout_watch import SHORT_CHARS, BlackoutWatch


def text(n_codes: int) -> str:
    zone = {"type": "zip", "codes": [f"{n:05}" for n in range(n_codes)], "action": "block"}
    return json.dumps({"event_id": "game", "blackout_zones": [zone]})


SHORT, LONG, LONGER = text(1), text(1_000), text(1_001)


class Rig:
    """A watch on a bus, and in which threads it has something compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus, self.index = MemoryBus(lambda: 0.0), BlackoutIndex()
        self.threads: list[int] = []
        self.watch = BlackoutWatch(self.bus, self.index)
        self.watch.start()
        self._offset = -1
        monkeypatch.setattr(blackout_watch, "compiled", self._compiled)

    def _compiled(self, record: BlackoutRecord) -> tuple[Blackout, str | None]:
        self.threads.append(threading.get_ident())
        if record.by == "fault":
            raise ZeroDivisionError
        return compiled(record)

    def tell(self, name: str, said: str | None, by: str = "ops") -> None:
        self._offset += 1
        self.bus.publish(blackouts_topic(), self._offset, BlackoutRecord(name, "game", said, 1.0, by))

    def texts(self) -> dict[str, str | None]:
        return {one.record.blackout_id: one.record.text for one in self.index.of("game")}


async def test_what_is_short_is_in_force_at_once_and_what_is_long_is_compiled_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(SHORT) <= SHORT_CHARS < len(LONG)
    rig = Rig(monkeypatch)
    rig.tell("a", SHORT)
    assert rig.texts() == {"a": SHORT}
    rig.tell("b", LONG)
    assert rig.texts() == {"a": SHORT}
    await rig.watch.settle()
    assert rig.texts() == {"a": SHORT, "b": LONG}
    assert rig.threads[0] == threading.get_ident() != rig.threads[1]
    # What was there holds until what comes is compiled; said again it is nothing new.
    rig.tell("b", LONGER)
    rig.tell("b", LONGER)
    assert rig.texts()["b"] == LONG
    await rig.watch.settle()
    assert (rig.texts()["b"], len(rig.threads)) == (LONGER, 3)
    rig.watch.stop()
    rig.watch.stop()
    rig.tell("c", SHORT)
    assert "c" not in rig.texts()


async def test_it_compiles_by_itself_what_comes_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    there = asyncio.Event()
    rig.index.listen(there.set)
    running = asyncio.create_task(rig.watch.run())
    rig.tell("b", LONG)
    await there.wait()
    assert rig.texts() == {"b": LONG}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_ended_before_it_was_compiled_never_comes_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.tell("a", LONG)
    rig.tell("b", LONG)
    settling = asyncio.create_task(rig.watch.settle())
    await asyncio.sleep(0)
    # The first is under way, the second waits.
    rig.tell("a", None)
    rig.tell("b", None)
    await settling
    assert rig.texts() == {}
    assert rig.index.waiting() == []


async def test_what_is_not_understood_is_dark_for_everybody_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    with capture_logs() as logs:
        rig.tell("a", '{"moon":1}')
        rig.tell("b", LONG, by="fault")
        await rig.watch.settle()
    assert [(line["event"], line["blackout_id"]) for line in logs] == [
        ("blackout.not_understood", "a"), ("blackout.not_understood", "b")
    ]  # fmt: skip
    assert rig.index.broken() == ["a", "b"]
