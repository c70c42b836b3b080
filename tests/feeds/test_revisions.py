from __future__ import annotations

from typing import Any

import pytest

from feeds.revisions import Revisions
from kernel.cues import CueType, Fact, Op

NEW, AMEND, RETRACT, CONFIRM = Op.NEW, Op.AMEND, Op.RETRACT, Op.CONFIRM


def fact(
    body: dict[str, Any], *, at: float | None = 1.0, op: Op = NEW, type_: CueType = CueType.PLAY, **more: Any
) -> Fact:
    return Fact("nba", "7", op, type_, at, body, **more)


def words(*facts: Fact) -> list[tuple[int, Op] | None]:
    revisions = Revisions()
    numbered = [revisions.number(one, wall=one.occurred_at or 9.0, sigma_s=0.0) for one in facts]
    return [None if one is None else (one.rev, one.op) for one in numbered]


@pytest.mark.parametrize(
    ("second", "wanted"),
    [
        # The same again
        (fact({"n": 1}), None),
        (fact({"n": 1}, op=AMEND), None),
        # Other content
        (fact({"n": 2}), (2, AMEND)),
        (fact({"n": 2}, rev=5), (5, AMEND)),
        # The same content under a newer revision
        (fact({"n": 1}, rev=2), (2, CONFIRM)),
        (fact({"n": 1}, op=CONFIRM), (2, CONFIRM)),
        (fact({}, op=CONFIRM, at=None), (2, CONFIRM)),
        # Taken back
        (fact({}, op=RETRACT), (2, RETRACT)),
        # Out of date
        (fact({"n": 2}, rev=1), None),
    ],
)
def test_what_a_second_word_does(second: Fact, wanted: tuple[int, Op] | None) -> None:
    assert words(fact({"n": 1}), second)[1] == wanted


def test_a_confirmation_without_a_body_leaves_it() -> None:
    revisions = Revisions()
    revisions.number(fact({"n": 1}), wall=1.0, sigma_s=0.0)
    confirmed = revisions.number(fact({}, op=CONFIRM, at=None), wall=5.0, sigma_s=0.0)
    assert confirmed is not None
    assert (confirmed.known.body, confirmed.known.wall) == ({"n": 1}, 1.0)
    # And the same content after it is still the same.
    assert revisions.number(fact({"n": 1}), wall=1.0, sigma_s=0.0) is None


def test_a_nod_before_its_target_is_none() -> None:
    nod = fact({}, op=CONFIRM, at=None, rev=2)
    assert words(nod, fact({"n": 1}, rev=1), nod) == [None, (1, NEW), (2, CONFIRM)]


def test_a_nod_that_overtakes_a_correction_does_not_make_it_void() -> None:
    nod = fact({}, op=CONFIRM, at=None, rev=3)
    amend, late = fact({"n": 2}, op=AMEND, rev=2), fact({"n": 4}, op=AMEND, rev=4)
    assert words(fact({"n": 1}, rev=1), nod, amend, amend, nod, late) == [
        (1, NEW), (3, CONFIRM), (4, AMEND), None, None, (5, AMEND)
    ]  # fmt: skip


def test_what_waits_for_its_picture_is_noted_as_it_was_when_it_was_said() -> None:
    revisions = Revisions()
    original = revisions.number(fact({"n": 1}), wall=1.0, sigma_s=0.0)
    assert original is not None
    noted = original.known.note()
    reversal = revisions.number(fact({"n": 2}, at=4.0), wall=4.0, sigma_s=0.0)
    assert reversal is not None
    # Were the reversal's digest in it, a restart would take the reversal for a repeat.
    assert original.known.note() == noted != reversal.known.note()


def test_a_later_time_is_a_reversal_the_same_is_data_entry() -> None:
    revisions = Revisions()
    original = revisions.number(fact({"n": 1}), wall=1.0, sigma_s=0.0)
    entry = revisions.number(fact({"n": 2}), wall=1.7, sigma_s=0.0)
    reversal = revisions.number(fact({"n": 3}, at=4.0), wall=4.0, sigma_s=0.0)
    after = revisions.number(fact({"n": 4}, at=None), wall=99.0, sigma_s=0.0)
    assert original is not None
    assert entry is not None
    assert reversal is not None
    assert after is not None
    assert entry.known is original.known
    assert reversal.known is not original.known
    assert after.known.wall == reversal.known.wall == 4.0


def test_an_original_without_a_time_is_reversed_by_a_time_after_its_receipt() -> None:
    revisions = Revisions()
    first = revisions.number(fact({"n": 1}, at=None), wall=5.0, sigma_s=0.0)
    same = revisions.number(fact({"n": 2}, at=4.0), wall=4.0, sigma_s=0.0)
    later = revisions.number(fact({"n": 3}, at=6.0), wall=6.0, sigma_s=0.0)
    assert first is not None
    assert same is not None
    assert later is not None
    assert same.known is first.known
    assert later.known.wall == 6.0


def test_a_word_on_a_market_is_new_at_another_time_or_under_another_number() -> None:
    said = {"market": {"mid": "a", "st": "open"}}

    def word(**more: Any) -> Fact:
        return fact(said, type_=CueType.MARKET, **more)

    assert words(word(), word(), word(at=2.0), word(at=2.0, rev=9)) == [(1, NEW), None, (2, AMEND), (9, AMEND)]


def test_drops_are_counted_by_why() -> None:
    revisions = Revisions()
    for one in (
        fact({"n": 1}, stamp=5), fact({"n": 1}, stamp=5), fact({"n": 2}, stamp=4), fact({}, op=RETRACT), fact({"n": 3})
    ):  # fmt: skip
        revisions.number(one, wall=1.0, sigma_s=0.0)
    dropped = revisions.dropped
    assert (dropped.duplicates, dropped.stale, dropped.retracted) == (1, 1, 1)
    assert revisions.knows(fact({}))
    assert len(revisions) == 1
