from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feeds.price_window import PriceWindow


def test_the_newest_stay_and_of_older_ones_the_newest_of_each_market() -> None:
    window = PriceWindow(keep=2)
    for o, market in enumerate("abaac"):
        window.add(o, market)
    assert window.take_replaced(at_least=3) == []
    # 0 was replaced by 2; 1 is the newest of its market however old it is.
    assert window.take_replaced() == [0, 2]
    window.add(5, "b")
    assert window.take_replaced() == [1]


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(0, 10))
def test_what_is_left_is_what_may_be_asked_for(markets: list[str], keep: int) -> None:
    window = PriceWindow(keep)
    replaced: list[int] = []
    for o, market in enumerate(markets):
        window.add(o, market)
        replaced += window.take_replaced()
    newest = {market: o for o, market in enumerate(markets)}
    left = [o for o, market in enumerate(markets) if o >= len(markets) - keep or newest[market] == o]
    assert sorted(set(range(len(markets))) - set(replaced)) == left
    assert len(replaced) == len(set(replaced))
