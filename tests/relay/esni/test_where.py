from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.esni.model import Match
from relay.esni.where import EVERYBODY, NOBODY, UNKNOWN, Group, Leaf, LeafKind, Where, alternatives, bound

ANY, ALL, NONE = Match.ANY, Match.ALL, Match.NONE
US = Leaf(LeafKind.COUNTRY, ("US",))
LA = Leaf(LeafKind.DMA, ("803",))
AROUND_LA = Leaf(LeafKind.DMA, ("803",), radius_miles=75)
CALIFORNIA = Leaf(LeafKind.REGION, ("US-CA",))
ZIP = Leaf(LeafKind.POSTCODE, ("90012",))
HOME = Leaf(LeafKind.POSTCODE, ("90012",), is_home=True)


@pytest.mark.parametrize(
    ("where", "widest", "narrowest"),
    [
        (LA, LA, LA),
        (UNKNOWN, EVERYBODY, NOBODY),
        # One part is unknown.
        (Group(ANY, (LA, UNKNOWN)), EVERYBODY, Group(ANY, (LA,))),
        (Group(ALL, (LA, UNKNOWN)), Group(ALL, (LA,)), NOBODY),
        (Group(NONE, (LA, UNKNOWN)), Group(NONE, (LA,)), NOBODY),
        # All are.
        (Group(ANY, (UNKNOWN,)), EVERYBODY, NOBODY),
        (Group(ALL, (UNKNOWN,)), EVERYBODY, NOBODY),
        (Group(NONE, (UNKNOWN,)), EVERYBODY, NOBODY),
        # It lies deeper.
        (Group(NONE, (Group(NONE, (LA, UNKNOWN)),)), EVERYBODY, Group(NONE, (Group(NONE, (LA,)),))),
        (Group(ALL, (US, Group(NONE, (UNKNOWN,)))), Group(ALL, (US,)), NOBODY),
        # What is written stays as it is.
        (Group(ANY, (LA, EVERYBODY)), Group(ANY, (LA, EVERYBODY)), Group(ANY, (LA, EVERYBODY))),
    ],
)
def test_bounds(where: Where, widest: Where, narrowest: Where) -> None:
    assert bound(where, widest=True) == widest
    assert bound(where, widest=False) == narrowest


@pytest.mark.parametrize(
    ("where", "leaves", "is_exact"),
    [
        (LA, (LA,), True),
        (EVERYBODY, None, True),
        (NOBODY, (), True),
        # ANY is what zones are.
        (Group(ANY, (LA, ZIP)), (LA, ZIP), True),
        (Group(ANY, (LA, EVERYBODY)), None, True),
        (Group(ANY, (LA, Group(NONE, (ZIP,)))), None, False),
        # Of ALL one part is enough; a country that follows from it says nothing.
        (Group(ALL, (LA,)), (LA,), True),
        (Group(ALL, (US, LA)), (LA,), True),
        (Group(ALL, (CALIFORNIA, US)), (CALIFORNIA,), True),
        (Group(ALL, (US, ZIP)), (ZIP,), True),
        (Group(ALL, (US, AROUND_LA)), (US,), False),
        (Group(ALL, (US, HOME)), (US,), False),
        (Group(ALL, (LA, ZIP)), (LA,), False),
        (Group(ALL, (LA, EVERYBODY)), (LA,), True),
        (Group(ALL, (LA, Group(NONE, (ZIP,)))), (LA,), False),
        (Group(ALL, ()), None, True),
        (Group(ALL, (EVERYBODY,)), None, True),
        (Group(ALL, (NOBODY, LA)), (), False),
        # NONE is anybody.
        (Group(NONE, (LA,)), None, False),
    ],
)
def test_alternatives(where: Leaf | Group, leaves: tuple[Leaf, ...] | None, is_exact: bool) -> None:
    assert alternatives(where) == (leaves, is_exact)


LEAVES = [LA, ZIP, CALIFORNIA, UNKNOWN]
TREES: st.SearchStrategy[Where] = st.recursive(
    st.sampled_from(LEAVES),
    lambda parts: st.builds(Group, st.sampled_from(list(Match)), st.lists(parts, max_size=3).map(tuple)),
    max_leaves=8,
)


def holds(where: Where, inside: frozenset[Where]) -> bool:
    if not isinstance(where, Group):
        return where in inside
    held = [holds(part, inside) for part in where.parts]
    return any(held) if where.match is ANY else all(held) if where.match is ALL else not any(held)


@given(TREES, st.sets(st.sampled_from(LEAVES)).map(frozenset))
def test_bounds_hold_whatever_the_unknown_is(where: Where, inside: frozenset[Where]) -> None:
    widest, narrowest = bound(where, widest=True), bound(where, widest=False)
    assert holds(widest, inside) >= holds(where, inside) >= holds(narrowest, inside)
    leaves, is_exact = alternatives(widest)
    spread = leaves is None or any(leaf in inside for leaf in leaves)
    assert spread >= holds(widest, inside)
    if is_exact:
        assert spread == holds(widest, inside)
