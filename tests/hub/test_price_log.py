from __future__ import annotations

from hub.price_log import MANY, PriceLog
from kernel.cues import CueType, Entry
from tests.hub.makers import at, entry


def price(o: int, due: float, mid: str) -> Entry:
    return entry(o, at(due), type=CueType.PRICE, body={"price": {"mid": mid, "ver": o}})


def filled(count: int, *, max_prices: int, step_s: float = 0.1) -> PriceLog:
    kept = PriceLog(max_prices)
    for o in range(count):
        kept.append(price(o, o * step_s, f"m{o % 2}"), 0)
    return kept


def test_few_prices_are_left_alone() -> None:
    kept = filled(10, max_prices=10)
    kept.thin(at(99))
    assert len(kept) == 10


def test_of_what_all_have_passed_the_newest_of_each_market_and_while_stay() -> None:
    kept = filled(40, max_prices=20)
    kept.thin(at(2))
    # Of each of the first two seconds one price a market; of what is ahead everything.
    assert [one.o for one in kept.log] == [8, 9, 18, 19, *range(20, 40)]
    assert kept.by_due == kept.log


def test_whiles_grow_as_long_as_they_must() -> None:
    kept = filled(400, max_prices=20)
    kept.thin(at(40))
    assert len(kept) <= 20
    assert [one.o for one in kept.log][-2:] == [398, 399]


def test_a_picture_that_stands_still_does_not_fill_the_memory() -> None:
    kept = filled(20 * MANY + 1, max_prices=20)
    kept.thin(at(0))
    assert len(kept) <= 20


def test_it_runs_again_only_when_the_number_has_doubled() -> None:
    kept = filled(40, max_prices=20)
    kept.thin(at(2))
    for o in range(40, 60):
        kept.append(price(o, o * 0.1, "m0"), 0)
    kept.thin(at(99))
    assert len(kept) == 44


def test_piece_by_piece_it_comes_to_the_same_whatever_comes_meanwhile() -> None:
    whole, pieces = filled(400, max_prices=20), filled(400, max_prices=20)
    whole.thin(at(40))
    for o in range(400, 440):
        before = len(pieces.by_due)
        pieces.thin(at(40), 7)
        assert before - len(pieces.by_due) <= 7
        for kept in (whole, pieces):
            # Some are due before what is looked at already.
            kept.append(price(o, o * 0.1 if o % 3 else 20 + o * 0.01, f"m{o % 2}"), 0)
    pieces.thin(at(40))
    assert len(pieces) <= len(whole)
    newest = {one.cue.body["price"]["mid"]: one.o for one in pieces.by_due}
    assert newest == {"m0": 436, "m1": 439}
    assert sorted(one.o for one in pieces.by_due) == [one.o for one in pieces.log]
    assert len(pieces.arrivals) == len(pieces.log)


def test_a_price_that_comes_in_the_middle_of_a_walk_is_never_lost() -> None:
    kept = filled(60, max_prices=20)
    kept.thin(at(3), 25)
    kept.append(price(60, 0.05, "late"), 0)
    kept.thin(at(3))
    assert [one.o for one in kept.by_due][:1] == [60]
    assert kept.log[-1].o == 60


def test_forgetting_by_age_in_the_middle_of_a_walk_begins_it_anew() -> None:
    kept = filled(60, max_prices=20)
    kept.thin(at(3), 25)
    kept.forget_first(5)
    assert sorted(one.o for one in kept.by_due) == [one.o for one in kept.log]
    kept.thin(at(3))
    assert [one.o for one in kept.by_due][-2:] == [58, 59]
    assert sorted(one.o for one in kept.by_due) == [one.o for one in kept.log]
