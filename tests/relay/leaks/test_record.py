from __future__ import annotations

from relay.leaks.record import MAX_NETWORKS, MAX_SEEKS, NETWORK_S, SPAN, Case, Record, decayed


def fetched(record: Record, *fetches: tuple[str, int]) -> list[bool]:
    return [record.is_new(rendition, msn, 2.0, 100.0) for rendition, msn in fetches]


def counts(record: Record) -> tuple[int, int, int, int]:
    record.settle()
    return record.n_new, record.n_pairs, record.n_crossings, record.n_repeats


def begun(rendition: str = "v0", msn: int = 10) -> Record:
    return Record("s", 7, rendition, msn - 1, 100.0)


def test_what_comes_one_after_the_other_is_new() -> None:
    record = begun()
    assert fetched(record, ("v0", 10), ("v0", 11), ("v1", 12)) == [True] * 3
    assert counts(record) == (3, 0, 0, 0)
    assert record.case is None


def test_what_was_simply_the_next_is_taken_in_later() -> None:
    record = begun()
    fetched(record, ("v0", 10))
    record.front = 14
    assert fetched(record, ("v0", 13)) == [False]
    assert counts(record) == (5, 0, 0, 1)
    record.front += 2 * SPAN
    record.settle()
    assert record.seen == record.run == (1 << SPAN) - 1


def test_the_same_again_is_a_repeat() -> None:
    record = begun()
    assert fetched(record, ("v0", 10), ("v0", 10), ("v0", 11), ("v0", 10)) == [True, False, True, False]
    assert counts(record) == (2, 0, 0, 2)


def test_two_renditions_at_once_make_pairs_and_cross_over() -> None:
    in_turn = begun()
    fetched(in_turn, *((rendition, msn) for msn in range(10, 15) for rendition in ("v0", "v1")))
    assert counts(in_turn) == (5, 5, 4, 0)
    # Processes of their own: now one is first, now the other.
    apart = begun()
    fetched(apart, ("v0", 10), ("v1", 10), ("v1", 11), ("v0", 11), ("v1", 12), ("v0", 12))
    assert counts(apart) == (3, 3, 1, 0)


def test_all_renditions_make_one_pair_a_segment() -> None:
    record = begun()
    fetched(record, *((f"v{level}", msn) for msn in (10, 11, 12) for level in range(5)))
    assert counts(record) == (3, 3, 2, 0)


def test_who_gives_segments_up_for_smaller_ones_does_not_cross_over() -> None:
    record = begun("v4")
    fetched(record, ("v4", 10), ("v2", 10), ("v1", 10), ("v1", 11), ("v2", 12), ("v1", 12), ("v1", 13))
    assert counts(record)[2] == 0


def test_what_is_ahead_loaded_again_in_another_quality_is_one_pair() -> None:
    record = begun()
    fetched(record, *(("v0", msn) for msn in range(10, 13)), *(("v3", msn) for msn in range(10, 14)))
    assert counts(record) == (4, 1, 0, 0)


def test_a_seek_throws_away_what_was_ahead_and_forgets_what_was_fetched() -> None:
    for there in (9_000, 16, 2):
        record = begun()
        fetched(record, *(("v0", msn) for msn in range(10, 15)))
        record.until = 160.0
        assert fetched(record, ("v0", there)) == [True]
        assert record.until == 100.0
        assert counts(record)[3] == 0
        assert record.front == there


def test_more_jumps_than_anybody_seeks_are_counted_and_throw_nothing_away() -> None:
    record = begun()
    record.until = 200.0
    fetched(record, *(("v0", msn) for number in range(20) for msn in (10 + number, 5_000 + number)))
    assert record.case is not None
    assert record.case.jumps == 39 - MAX_SEEKS


def test_who_fetches_out_of_order_beyond_the_budget_is_known_by_what_it_has() -> None:
    record = begun()
    case = record.begin_case()
    case.seeks_until = 1_000.0
    fetched(record, ("v0", 10), ("v0", 20))
    assert fetched(record, ("v0", 9), ("v0", 9)) == [True, False]
    assert record.front == 20
    assert fetched(record, ("v0", 20 - SPAN)) == [True]
    assert record.front == 20 - SPAN


def test_who_fills_holes_fetches_several_at_a_time() -> None:
    record = begun()
    record.until = 160.0
    fetched(record, ("v0", 10), ("v0", 14))
    until = record.until
    assert fetched(record, ("v0", 12), ("v0", 13), ("v0", 11), ("v0", 12)) == [True, True, True, False]
    # Nothing is thrown away for that, and what was fetched is known.
    assert (record.until, record.front) == (until, 14)
    assert counts(record) == (5, 0, 0, 1)
    assert record.case is not None
    assert record.case.seeks_until > 100.0


def test_a_case_tells_networks_of_now() -> None:
    case = Case()
    assert case.n_networks(0.0) == 1
    case.come_from(1, 2, 0.0)
    case.come_from(2, 1, 10.0)
    case.come_from(1, 3, 20.0)
    assert case.n_networks(20.0) == 3
    assert case.n_networks(NETWORK_S + 5.0) == 2
    case.decay(NETWORK_S + 30.0)
    assert case.networks is None
    assert case.is_closed(NETWORK_S + 30.0)
    for network in range(200):
        case.come_from(network, network + 1, 100.0)
    assert case.n_networks(100.0) == MAX_NETWORKS


def test_everything_decays() -> None:
    record = begun()
    fetched(record, *((rendition, msn) for msn in range(10, 14) for rendition in ("v0", "v1", "v1")))
    assert record.decay() == 12
    assert counts(record) == (3, 3, 2, 3)
    for _ in range(9):
        record.decay()
    assert counts(record) == (0, 0, 0, 0)
    assert [decayed(count) for count in (0, 1, 2, 4, 100)] == [0, 0, 1, 3, 75]


def test_a_case_is_open_while_anything_is_left_of_it() -> None:
    for change in ({"level": 1}, {"foreign": 2}, {"jumps": 2}, {"seeks_until": 5.0}, {"networks": {1: 0.0, 2: 0.0}}):
        case = Case()
        for name, value in change.items():
            setattr(case, name, value)
        assert not case.is_closed(0.0)
