from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.timeline import SegmentKey
from relay.served import MAX_INTERVALS, MAX_PARTIAL, Tally

WHOSE = ("ann", "v0", SegmentKey(0, 7))


def test_half_of_a_body_is_enough_and_less_is_not() -> None:
    tally = Tally()
    assert not tally.add(WHOSE, 0, 499, 1_000)
    assert Tally().add(WHOSE, 0, 500, 1_000)
    assert Tally().add(WHOSE, 0, 1_000, 1_000)
    assert not Tally().add(WHOSE, 0, 0, 0)


def test_ranges_add_up_and_the_same_bytes_count_once() -> None:
    tally = Tally()
    assert not tally.add(WHOSE, 0, 200, 1_000)
    assert not tally.add(WHOSE, 100, 300, 1_000)
    assert not tally.add(WHOSE, 700, 800, 1_000)
    assert not tally.add(WHOSE, 0, 300, 1_000)
    assert tally.add(WHOSE, 300, 400, 1_000)


def test_sessions_renditions_and_segments_are_counted_apart() -> None:
    tally = Tally()
    others = [("bob", *WHOSE[1:]), ("ann", "v1", WHOSE[2]), (*WHOSE[:2], SegmentKey(0, 8))]
    for one in (WHOSE, *others):
        assert not tally.add(one, 0, 300, 1_000)
    assert all(tally.add(one, 300, 600, 1_000) for one in (WHOSE, *others))


def test_what_is_kept_is_bounded_and_forgetting_only_delays() -> None:
    tally = Tally()
    for number in range(MAX_PARTIAL + 1):
        assert not tally.add((str(number), "main", SegmentKey(0, 0)), 0, 10, 100)
    assert not tally.add(("0", "main", SegmentKey(0, 0)), 10, 50, 100)
    assert tally.add((str(MAX_PARTIAL), "main", SegmentKey(0, 0)), 10, 50, 100)
    sieve = Tally()
    assert not any(sieve.add(WHOSE, 4 * at, 4 * at + 2, 100_000) for at in range(2 * MAX_INTERVALS))


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_it_says_so_exactly_when_half_is_covered(length: int, ranges: list[tuple[int, int]]) -> None:
    tally, covered = Tally(), set[int]()
    for first, last in ranges:
        start, stop = sorted((min(first, length), min(last, length)))
        covered |= set(range(start, stop))
        told = tally.add(WHOSE, start, stop, length)
        assert told == (2 * len(covered) >= length and bool(covered)), (ranges, covered)
        if told:
            covered.clear()
