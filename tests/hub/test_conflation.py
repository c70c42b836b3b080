from __future__ import annotations

from hub.conflation import Conflation, newest_prices
from kernel.cues import CueType, Entry
from tests.hub.makers import at, entry


def price(o: int, seconds: float, ver: int, mid: str = "m") -> Entry:
    return entry(o, at(seconds), type=CueType.PRICE, body={"price": {"mid": mid, "ver": ver}})


def test_prices_wait_and_nothing_else_does() -> None:
    prices = Conflation(0.25)
    play = entry(0, at(1))
    assert prices.hold([play, price(1, 1, 1)], 10) == [play]
    assert (bool(prices), prices.held) == (True, at(1))
    # The first one need not wait for others: nothing went out lately.
    assert [one.o for one in prices.release(10)] == [1]
    assert (bool(prices), prices.held, prices.flush_at) == (False, None, 10.25)
    prices.hold([price(2, 2, 2), price(3, 1.5, 3, "n")], 10.1)
    prices.hold([price(4, 3, 4)], 10.2)
    assert (prices.release(10.24), prices.held) == ([], at(1.5))
    assert [one.o for one in prices.release(10.25)] == [3, 4]
    assert prices.release(11) == []


def test_the_newest_is_the_one_with_the_highest_version() -> None:
    prices = Conflation(1)
    prices.hold([price(0, 5, 7), price(1, 6, 6)], 0)
    assert [one.o for one in prices.waiting()] == [0]
    prices.forget()
    assert (prices.waiting(), prices.held) == ([], None)


def test_a_price_without_a_market_does_not_wait() -> None:
    odd = entry(0, at(1), type=CueType.PRICE, body={"txt": "x"})
    assert Conflation(1).hold([odd], 0) == [odd]


def test_of_a_replay_the_newest_of_each_market() -> None:
    entries = [price(0, 1, 1), entry(1, at(1)), price(2, 2, 2, "n"), price(3, 3, 3)]
    assert [one.o for one in newest_prices(entries)] == [1, 2, 3]


def test_a_round_may_take_some_turns() -> None:
    prices = Conflation(0.25)
    prices.hold([price(0, 3, 1, "a"), price(1, 2, 2, "b"), price(2, 1, 3, "c")], 10)
    assert [one.o for one in prices.release(10, ("c", "a", "z"))] == [2, 0]
    # What is left may go at once, and nothing that waits lies before `held`.
    assert (prices.flush_at, prices.held, [one.o for one in prices.waiting()]) == (10, at(1), [1])
    prices.hold([price(3, 4, 4, "a")], 10.05)
    assert [one.o for one in prices.release(10.05)] == [1, 3]
    # The interval counts from where the round began, unless that would leave no pause.
    assert (bool(prices), prices.held, prices.flush_at) == (False, None, 10.25)
    prices.hold([price(4, 5, 5, "a"), price(5, 5, 6, "b")], 10.25)
    prices.release(10.25, ("a",))
    prices.release(10.45)
    assert prices.flush_at == 10.45 + 0.125


def test_one_share_may_be_all_there_is() -> None:
    prices = Conflation(0.25)
    prices.hold([price(0, 3, 1, "a")], 10)
    assert [one.o for one in prices.release(10, ("a",))] == [0]
    assert (bool(prices), prices.held, prices.flush_at) == (False, None, 10.25)
