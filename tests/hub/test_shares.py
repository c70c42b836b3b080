from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.shares import FEW, Shares
from hub.subscriber import EVERYTHING, Filter
from kernel.cues import CueClass, CueType, Entry
from tests.hub.makers import at, entry

MIDS = ["a", "b", "c", None]
entries = st.lists(
    st.builds(
        lambda mid, type_, source, safe: entry(
            0, at(1), type=type_, source=source, cls=CueClass.SAFETY if safe else None,
            body={"price": {"mid": mid}} if mid is not None else {"team": "BKN"},
        ),
        st.sampled_from(MIDS), st.sampled_from([CueType.PRICE, CueType.PLAY]), st.sampled_from(["nba", "desk"]),
        st.booleans(),
    ),
    max_size=3 * FEW,
)  # fmt: skip
filters = st.builds(
    Filter,
    st.none() | st.just(frozenset({CueType.PRICE})),
    st.sampled_from([frozenset(), frozenset({"desk"})]),
    st.none() | st.frozensets(st.sampled_from(["a", "b", "z"])),
    st.none() | st.just(frozenset({"NYK"})),
)


@given(entries, filters)
def test_a_share_is_what_the_filter_lets_pass_in_its_order(some: list[Entry], wanted: Filter) -> None:
    shares = Shares(some)
    assert [id(one) for one in shares.of(wanted)] == [id(one) for one in some if wanted.passes(one)]
    assert shares.of(wanted) is shares.of(wanted)


def test_each_filter_has_its_own() -> None:
    some = [entry(o, at(1), type=CueType.PRICE, body={"price": {"mid": f"m{o % 3}"}}) for o in range(9)]
    shares = Shares(some)
    assert [one.o for one in shares.of(Filter(None, frozenset(), frozenset({"m1"})))] == [1, 4, 7]
    assert [one.o for one in shares.of(Filter(None, frozenset(), frozenset({"m2", "m0"})))] == [0, 2, 3, 5, 6, 8]
    assert shares.of(EVERYTHING) == tuple(some)
