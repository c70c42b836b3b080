from __future__ import annotations

from kernel.blackouts import Window
from kernel.marks import ReleaseMark
from kernel.timeline import SegmentKey, SegmentTiming
from relay.cuts import Cuts, Edge
from relay.cutting import AHEAD_S, Cutter
from tests.support.playlists import timing

ALL = frozenset({"local"})


def at(msn: int) -> SegmentTiming:
    return timing(msn, f"{msn}.ts", wall=1_000.0 + 2 * msn)


def mark(stream: str, msn: int, when: float) -> ReleaseMark:
    return ReleaseMark(stream, 0, msn, None, at(msn).upto, when)


def cutter(windows: dict[str, Window], timings: list[SegmentTiming]) -> tuple[Cutter, Cuts]:
    cuts = Cuts()
    one = Cutter("game", cuts)
    one.on_windows(windows, ALL)
    for each in timings:
        one.on_timing(each)
    return one, cuts


def edges(cuts: Cuts, name: str = "a") -> list[tuple[int, bool, bool]]:
    return [(edge.key.msn, edge.opens, edge.late) for edge in cuts.edges(name)]


def test_the_start_rounds_down_and_the_end_up() -> None:
    _, cuts = cutter({"a": Window(1_003.0, 1_006.5)}, [at(n) for n in range(8)])
    assert edges(cuts) == [(1, True, False), (4, False, False)]
    _, cuts = cutter({"a": Window(1_002.0, 1_006.0)}, [at(n) for n in range(8)])
    assert edges(cuts) == [(1, True, False), (3, False, False)]


def test_one_that_is_in_force_when_we_begin_is_late() -> None:
    _, cuts = cutter({"a": Window(1_000.0, 1_006.0)}, [at(n) for n in range(8)])
    assert edges(cuts) == [(0, True, True), (3, False, False)]


def test_one_that_is_over_has_its_edges_where_they_should_have_been() -> None:
    window = {"a": Window(1_003.0, 1_006.5)}
    one, cuts = cutter({}, [at(n) for n in range(8)])
    one.opened = SegmentKey(0, 7)
    assert [record[2] for record in one.on_windows(window, ALL)] == [1, 4]
    assert edges(cuts) == [(1, True, False), (4, False, False)]
    # At a start-up segments are timed newest first.
    _, cuts = cutter(window, [at(n) for n in reversed(range(8))])
    assert edges(cuts) == [(1, True, False), (4, False, False)]


def test_one_that_is_heard_of_late_is_in_force_from_the_next_on() -> None:
    for window in (Window(1_003.0, 1_020.0), Window()):
        one, cuts = cutter({}, [at(n) for n in range(8)])
        one.opened = SegmentKey(0, 6)
        one.on_windows({"a": window}, ALL)
        assert edges(cuts) == [(7, True, True)]
        one.on_timing(at(8))
        assert edges(cuts) == [(7, True, True)]


def test_one_whose_start_is_timed_but_not_out_is_not_late() -> None:
    one, cuts = cutter({}, [at(n) for n in range(8)])
    one.opened = SegmentKey(0, 5)
    one.on_windows({"a": Window(1_013.0, 1_020.0)}, ALL)
    assert edges(cuts) == [(6, True, False)]


def test_redirects_go_by_releases() -> None:
    one, cuts = cutter({"a": Window(1_003.0, 1_006.5)}, [at(n) for n in range(8)])
    for msn, when in ((40, 0.9), (41, 2.9)):
        one.on_mark("local", mark("local", msn, when))
    one.on_mark("game", mark("game", 1, 3.0))
    assert one.next_deadline() == 3.0 - AHEAD_S
    assert one.settle(now=2.0) == []
    assert one.settle(now=2.8) == [["lead", 0, 1, "local", 42]]
    assert one.next_deadline() is None
    one.on_mark("local", mark("local", 43, 9.0))
    one.on_mark("game", mark("game", 4, 9.0))
    # Released together, it stands behind the end.
    assert one.settle(now=9.0) == [["lead", 0, 4, "local", 42]]
    assert cuts.lead(SegmentKey(0, 4), "local") == 42
    assert one.settle(now=10.0) == []


def test_of_a_late_one_the_redirect_is_taken_as_it_stands() -> None:
    one, _ = cutter({}, [at(n) for n in range(8)])
    one.opened = SegmentKey(0, 7)
    one.on_windows({"a": Window()}, ALL)
    assert one.settle(now=20.0) == []
    one.on_mark("game", mark("game", 7, 14.0))
    assert one.settle(now=20.0) == []
    for msn in range(30, 41):
        one.on_mark("local", mark("local", msn, 13.5))
    # It has shown eight seconds since then: a player may begin at once.
    assert one.settle(now=20.0) == [["lead", 0, 8, "local", 37]]


def test_of_a_redirect_that_has_just_begun_all_is_shown() -> None:
    one, _ = cutter({}, [at(n) for n in range(8)])
    one.opened = SegmentKey(0, 7)
    one.on_windows({"a": Window()}, ALL)
    one.on_mark("game", mark("game", 7, 14.0))
    one.on_mark("local", mark("local", 40, 13.5))
    one.on_mark("local", mark("local", 41, 13.5))
    assert one.settle(now=20.0) == [["lead", 0, 8, "local", 40]]


def test_a_log_that_begins_anew_says_nothing_of_what_was() -> None:
    one, cuts = cutter({"a": Window(1_003.0)}, [at(0)])
    one.begin_epoch("game")
    one.on_timing(at(5))
    assert cuts.edges("a") == (Edge(SegmentKey(0, 5), opens=True, late=True),)


def test_one_that_is_ended_closes_where_its_end_is_now() -> None:
    for opened, closes in ((2, 5), (6, 7)):
        one, cuts = cutter({"a": Window(1_003.0)}, [at(n) for n in range(8)])
        one.opened = SegmentKey(0, opened)
        assert [record[2] for record in one.on_windows({"a": Window(1_003.0, 1_009.0)}, ALL)] == [closes]
        # What is out stays.
        assert edges(cuts) == [(1, True, False), (closes, False, False)]
        assert one.on_windows({"a": Window(1_003.0, 1_009.0)}, ALL) == []
    one, cuts = cutter({"a": Window(1_003.0)}, [at(n) for n in range(8)])
    assert one.on_windows({"a": Window(1_003.0, 1_016.5)}, ALL) == []
    one.on_timing(at(8))
    one.on_timing(at(9))
    assert edges(cuts) == [(1, True, False), (9, False, False)]


def test_one_that_is_ended_before_a_segment_of_it_is_timed_opens_for_that() -> None:
    one, cuts = cutter({"a": Window(1_020.0)}, [at(n) for n in range(8)])
    assert one.on_windows({"a": Window(1_020.0, 1_021.0)}, ALL) == []
    for n in range(8, 13):
        one.on_timing(at(n))
    assert edges(cuts) == [(10, True, False), (11, False, False)]


def test_one_without_a_beginning_that_is_over_when_it_is_heard_of_does_not_open_again() -> None:
    one, cuts = cutter({}, [at(n) for n in range(8)])
    one.opened = SegmentKey(0, 6)
    cuts.add(["edge", 0, 2, "a", True, True])
    cuts.add(["edge", 0, 4, "a", False, False])
    assert one.on_windows({"a": Window(end=1_008.0), "b": Window(end=1_002.0)}, ALL) == []
    assert edges(cuts) == [(2, True, True), (4, False, False)]
