from __future__ import annotations

from hub.close_codes import CloseCode
from hub.io.driver import Hub
from hub.settings import HubSettings
from hub.subscriber import Subscriber
from kernel.bus import entries_topic, opened_signal, safety_topic, state_signal, timings_topic
from kernel.cues import CueClass
from kernel.histogram import Histogram
from kernel.io.memory_bus import MemoryBus
from lockstep.measures.hub import hub_readings
from lockstep.measures.measure import Value
from tests.hub.makers import SHOWING, STREAM, Gate, at, entry, opened, state, timing


def values(hub: Hub) -> dict[tuple[str, ...], Value]:
    return {(reading.measure.name, *labels): value for reading in hub_readings(hub) for labels, value in reading.rows}


class Stage:
    """A hub with one subscriber who takes everything."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bus = MemoryBus(lambda: self.now)
        self.hub = Hub(self.bus, {STREAM: SHOWING}, Gate(), HubSettings(), wall=lambda: 0.0, new_id=lambda: "node")
        self.hub.start()
        self.bus.signal(state_signal(STREAM), state())
        self.written: list[bytes] = []
        one = Subscriber(0, STREAM, self.hub.settings, self.now)
        one.mode, one.write = "edge", self.written.append
        stream = self.hub.streams[STREAM]
        stream.join(one, self.now)
        while stream.next_owed(one, self.now) is not None:
            pass


async def test_what_was_sent_is_measured() -> None:
    stage = Stage()
    bus = stage.bus
    bus.publish(timings_topic(STREAM), 0, timing(0))
    bus.publish(entries_topic(STREAM), 0, entry(0, at(0.5)))
    bus.publish(entries_topic(STREAM), 1, entry(1, at(1.0), cls=CueClass.REOPEN))
    bus.publish(entries_topic(STREAM), 2, entry(2, at(2.5)))
    before = values(stage.hub)
    # The relay opened the segment a quarter of a second ago.
    bus.signal(opened_signal(STREAM), opened(0, 99.75))
    bus.publish(safety_topic(STREAM), 3, entry(3, None))
    after = values(stage.hub)
    await stage.hub.drain()

    assert (before["lockstep_hub_entries", STREAM], before["lockstep_hub_held", STREAM]) == (3, 3)
    assert (after["lockstep_hub_entries", STREAM], after["lockstep_hub_held", STREAM]) == (3, 1)
    cues = {cls: after["lockstep_hub_cues_total", STREAM, cls] for cls in ("safety", "locked", "reopen")}
    assert cues == {"safety": 1, "locked": 1, "reopen": 1}
    assert after["lockstep_hub_flushes_total", STREAM] == 2
    late, safety = after["lockstep_hub_late_seconds", STREAM], after["lockstep_hub_safety_late_seconds", STREAM]
    assert isinstance(late, Histogram)
    assert isinstance(safety, Histogram)
    assert (late.count, late.total) == (2, 0.5)
    assert (safety.count, safety.total) == (1, 0.0)
    assert after["lockstep_hub_sync", STREAM, "ok"] == after["lockstep_hub_may_wager", STREAM] == 1
    assert before["lockstep_hub_sync", STREAM, "waiting"] == 1


async def test_who_is_here_and_who_went_is_measured() -> None:
    stage = Stage()
    stage.hub.tallies.closed[CloseCode.SLOW] += 2
    stage.hub.tallies.cut += 1
    said = values(stage.hub)
    await stage.hub.drain()
    assert said["lockstep_hub_subscribers", STREAM, "edge", "json"] == 1
    assert said["lockstep_hub_subscribers", STREAM, "viewer", "msgpack"] == 0
    assert said["lockstep_hub_joins_total", STREAM, "new"] == 1
    assert said["lockstep_hub_joins_total", STREAM, "window_exceeded"] == 0
    assert said["lockstep_hub_closes_total", "4408", "slow"] == 2
    assert said["lockstep_hub_closes_total", "4510", "revoked"] == 0
    assert said["lockstep_hub_cut_total",] == 1
    assert said["lockstep_hub_guard_stops_total",] == said["lockstep_hub_buffered_bytes",] == 0
