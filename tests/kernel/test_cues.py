"""Facts, cues and entries: the words of the wire, and values that can be kept in sets."""

from __future__ import annotations

import pytest

from kernel.cues import Cue, CueClass, CueType, Entry, Fact, Op, Position


def cue(body: dict[str, int]) -> Cue:
    return Cue("nba:1", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, None, None, None, None, None, 0, body)


def test_the_words_are_those_of_the_wire() -> None:
    """PROTOCOL: `kind`, `cls` and `type` of a cue."""
    assert {str(op) for op in Op} == {"new", "amend", "retract", "confirm"}
    assert {str(cls) for cls in CueClass} == {"safety", "locked", "reopen"}
    assert {str(kind) for kind in CueType} == {
        "play", "score", "clock", "period", "possession", "lineup", "review", "market", "price", "settle", "stat",
        "suspend", "inv",
    }  # fmt: skip
    assert Op("amend") is Op.AMEND
    with pytest.raises(ValueError, match="delete"):
        Op("delete")


def test_a_fact_claims_nothing_it_was_not_told() -> None:
    fact = Fact("nba", "1", Op.NEW, CueType.PLAY, None, {})
    assert (fact.rev, fact.stamp, fact.sigma_s) == (None, None, 0.0)


def test_entries_are_hashed_without_their_bodies_and_compared_with_them() -> None:
    first, second = Entry(1, cue({"a": 1}), None), Entry(1, cue({"a": 2}), None)
    assert hash(first) == hash(second)
    assert first != second
    assert len({first, second, Entry(1, cue({"a": 1}), None)}) == 2


def test_positions_are_ordered_by_offset_within_an_epoch() -> None:
    assert Position("a", 9) < Position("a", 10)
