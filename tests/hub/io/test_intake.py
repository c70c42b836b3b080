"""What the bus says reaches the stream, and its guard before it."""

from __future__ import annotations

from dataclasses import replace

from hub.guard import Guard
from hub.io.intake import follow
from hub.playhead import Playhead, Report
from hub.settings import HubSettings
from hub.stream import Stream
from hub.subscriber import Subscriber
from kernel.bus import (
    entries_topic,
    epoch_signal,
    feeds_signal,
    opened_signal,
    safety_topic,
    served_signal,
    state_signal,
)
from kernel.bus import timings_topic as timings
from kernel.feed_state import FeedState, Health
from kernel.io.memory_bus import MemoryBus
from kernel.marks import Served
from tests.hub.makers import SHOWING, STREAM, at, claims, entry, opened, state, timing


class Listening:
    """Write down what is asked for."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def settle(self, event_id: str) -> None:
        self.calls.append("settle")

    def begin_epoch(self, event_id: str) -> None:
        self.calls.append("epoch")

    def tell_feeds(self, event_id: str, changed: list[FeedState]) -> None:
        self.calls.append([one.source for one in changed])


def test_everything_of_a_stream_is_followed() -> None:
    bus, stream, guard, listening = MemoryBus(lambda: 7.0), Stream(SHOWING, HubSettings()), Guard(), Listening()
    bus.signal(epoch_signal(STREAM), "e1")
    cancels = follow(bus, stream, guard, listening)
    assert (stream.epoch, listening.calls) == ("e1", [])
    bus.signal(state_signal(STREAM), state(ended=True, last=0))
    bus.publish(timings(STREAM), 0, timing(0))
    bus.publish(safety_topic(STREAM), 0, entry(0, None))
    bus.publish(entries_topic(STREAM), 1, entry(1, at(1)))
    bus.signal(opened_signal(STREAM), opened(0, 7.0))
    assert stream.sync == "ok"
    assert guard.fault_in([entry(1, at(99))], at(100), trading=False, safety=False) is None
    told = FeedState("nba", Health.UP, "", 0.0)
    bus.signal(feeds_signal(STREAM), (told,))
    bus.signal(feeds_signal(STREAM), (told,))
    assert stream.feeds == {"nba": told}
    bus.signal(epoch_signal(STREAM), "e2")
    assert listening.calls == [*["settle"] * 5, ["nba"], "settle", "settle", "epoch"]
    for cancel in cancels:
        cancel()
    bus.signal(epoch_signal(STREAM), "e3")
    assert stream.epoch == "e2"


def test_what_is_served_is_acted_on_where_somebody_reports() -> None:
    bus, stream, listening = MemoryBus(lambda: 7.0), Stream(SHOWING, HubSettings()), Listening()
    follow(bus, stream, Guard(), listening)
    bus.signal(served_signal(STREAM), Served(STREAM, "j", 0, 0))
    assert listening.calls == []
    viewer = Subscriber(1, STREAM, HubSettings(), 7.0)
    viewer.admit(claims(session="j"), may_wager=True)
    viewer.playhead = Playhead()
    viewer.playhead.take(Report(at(1).pts, 0.0, timeline=0), 7.0)
    stream.join(viewer, 7.0)
    bus.signal(served_signal(STREAM), Served(STREAM, "j", 1, 1))
    bus.signal(served_signal(STREAM), Served(STREAM, "other", 1, 1))
    assert listening.calls == ["settle"]


def test_what_was_opened_under_another_epoch_says_nothing() -> None:
    bus, stream, guard, listening = MemoryBus(lambda: 7.0), Stream(SHOWING, HubSettings()), Guard(), Listening()
    follow(bus, stream, guard, listening)
    bus.signal(epoch_signal(STREAM), "new")
    bus.signal(state_signal(STREAM), state())
    bus.publish(timings(STREAM), 0, timing(0))
    bus.signal(opened_signal(STREAM), replace(opened(0, 7.0), epoch="old"))
    assert not stream.may_wager
    assert guard.fault_in([entry(1, at(1))], at(100), trading=False, safety=False) is not None
    bus.signal(opened_signal(STREAM), replace(opened(0, 7.0), epoch="new"))
    assert stream.may_wager
