from __future__ import annotations

from pathlib import Path

from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.showings import Showing
from lockstep.measures.relay import relay_readings
from relay.io.driver import StreamRelay
from relay.io.flights import Flights


async def test_what_is_out_is_measured(tmp_path: Path) -> None:
    showing = Showing("game", (tmp_path / "index.m3u8").as_uri())
    fetcher = Fetcher([showing.origin], now=lambda: 0.0)
    relay = StreamRelay(showing, fetcher=fetcher, bus=MemoryBus(lambda: 0.0))
    window = relay.presentation.window
    window.opened, window.unsynchronised = 7, 1
    said = {
        (reading.measure.name, *labels): value
        for reading in relay_readings({"game": relay}, Flights())
        for labels, value in reading.rows
    }
    await fetcher.aclose()
    assert said == {
        ("lockstep_relay_releases_total", "game", "marked"): 7,
        ("lockstep_relay_releases_total", "game", "unsynchronised"): 1,
        ("lockstep_relay_release_late_seconds", "game"): window.late,
        ("lockstep_relay_picture", "game"): 0,
        ("lockstep_relay_connections",): 0,
    }
