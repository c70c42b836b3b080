from __future__ import annotations

from hub.settings import HubSettings
from hub.subscriber import Subscriber
from hub.wheel import Wheel


def someone(number: int) -> Subscriber:
    return Subscriber(number, "game", HubSettings(), 0)


def test_beats_come_within_a_tick_and_never_early() -> None:
    wheel, one, other = Wheel(0.5), someone(1), someone(2)
    assert wheel.put(one, 1.2) == 1.5
    assert wheel.put(other, 1.6) == 2.0
    assert (wheel.next(), one.beat_at) == (1.5, 1.2)
    assert wheel.take(1.4) == []
    assert wheel.take(1.5) == [one]
    assert wheel.take(9) == [other]
    assert wheel.next() is None


def test_a_new_beat_takes_the_place_of_the_old() -> None:
    wheel, one = Wheel(0.5), someone(1)
    wheel.put(one, 5)
    wheel.put(one, 1)
    assert wheel.take(1) == [one]
    assert wheel.take(9) == []


def test_who_is_removed_beats_no_more() -> None:
    wheel, one = Wheel(0.5), someone(1)
    wheel.put(one, 1)
    wheel.remove(one)
    wheel.remove(one)
    assert wheel.next() is None
