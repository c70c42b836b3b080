from __future__ import annotations

import pytest

from hub.frontier import Edge
from hub.path import Path
from hub.wagering import Wagering
from kernel.feed_state import FeedState, Health
from tests.hub.makers import opened, state


def edge(*, marked: bool = True, live: bool = True) -> Edge:
    one = Edge(Path())
    one.state = state(live=live)
    one.open(opened(0, 0, marked=marked), 0)
    return one


def test_a_picture_that_moves_and_one_that_stands_still() -> None:
    wagering, one = Wagering(20), edge()
    assert (wagering.may_wager, wagering.stalls_at(one)) == (False, None)
    wagering.judge(one, 6_000, 3.9)
    assert (wagering.may_wager, wagering.stalls_at(one)) == (True, 4)
    wagering.judge(one, 6_000, 4)
    assert (wagering.may_wager, wagering.stalls_at(one)) == (False, None)


def test_nothing_is_known_or_lost() -> None:
    wagering = Wagering(20)
    wagering.judge(Edge(Path()), None, 0)
    assert not wagering.may_wager
    wagering.judge(edge(marked=False), None, 0)
    assert not wagering.may_wager


@pytest.mark.parametrize("health", Health)
def test_only_a_feed_that_is_down_closes(health: Health) -> None:
    wagering, told = Wagering(20), FeedState("a", health, "", 0)
    assert wagering.set_feeds([told]) == [told]
    assert wagering.set_feeds([told]) == []
    assert wagering.feeds == {"a": told}
    wagering.judge(edge(), None, 0)
    assert wagering.may_wager is (health is not Health.DOWN)


def test_live_viewers_who_come_back_from_too_far() -> None:
    wagering, one = Wagering(20), edge()
    assert not wagering.judge(one, 20_000, 0)
    assert not wagering.lagging
    assert not wagering.judge(one, 20_001, 0)
    assert wagering.lagging
    assert wagering.judge(one, 19_000, 0)
    assert not wagering.judge(one, None, 0)
