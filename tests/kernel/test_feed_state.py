from __future__ import annotations

from kernel.bus import feeds_signal
from kernel.feed_state import FeedState, Health


def test_it_is_a_value() -> None:
    one = FeedState("nba", Health.DOWN, "silent for 4 s", 12.5)
    assert one == FeedState("nba", Health("down"), "silent for 4 s", 12.5)
    assert feeds_signal("game").name == "game/feeds"
