from __future__ import annotations

from hub.census import KINDS, census
from hub.playhead import Playhead
from hub.settings import HubSettings
from hub.subscriber import Subscriber


def subscriber(number: int) -> Subscriber:
    return Subscriber(number, "game", HubSettings(), 0.0)


def test_those_who_are_here_are_counted_by_kind_and_state() -> None:
    plain, packed, slow, reporting = map(subscriber, range(4))
    packed.mode, packed.format = "edge", "msgpack"
    slow.paused_at = 5.0
    reporting.playhead = Playhead()
    found = census([plain, packed, slow, reporting])
    assert found.subscribed["viewer", "json"] == 3
    assert found.subscribed["edge", "msgpack"] == 1
    assert (found.reporting, found.paused, found.behind) == (1, 1, 0)


def test_every_kind_is_there_though_nobody_is() -> None:
    found = census([])
    assert found.subscribed == dict.fromkeys(KINDS, 0)
    assert len(KINDS) == 6
