from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.follow import FORMER_S, PRESENT_TARGET_DURATIONS, REMEMBERED_SEGMENTS, PlaylistFollower
from kernel.timeline import SegmentKey
from tests.support.playlists import BASE, playlist, refs, timing


def observe(follower: PlaylistFollower, names: list[str], first: int = 0, now: float = 0.0) -> list[SegmentKey]:
    copy = playlist(names, first=first)
    return [found.key for found in follower.observe(copy, refs(copy), now)]


def test_at_start_up_the_newest_comes_first() -> None:
    copy = playlist(["a", "b", "c"], first=7, discontinuities=[2])
    found = PlaylistFollower().observe(copy, refs(copy), 100.0)
    assert [item.key.msn for item in found] == [9, 8, 7]
    assert [item.older for item in found] == [False, True, True]
    # Each was listed when the one after it began.
    assert [item.arrived for item in found] == [100.0, 98.0, 96.0]
    # The tag stands before c: it lies between b and what was worked on before b.
    assert [item.boundary for item in found] == [True, True, False]


def test_with_a_hold_the_newest_that_may_go_out_comes_first() -> None:
    copy = playlist(["a", "b", "c", "d", "e"], discontinuities=[1, 4])
    found = PlaylistFollower(hold_s=3.0).observe(copy, refs(copy), 100.0)
    # c ended four seconds before the list's end; d and e have to wait for their time.
    assert [item.key.msn for item in found] == [2, 3, 4, 1, 0]
    assert [item.older for item in found] == [False, False, False, True, True]
    assert [item.boundary for item in found] == [False, False, True, False, True]
    assert [item.arrived for item in found] == [96.0, 98.0, 100.0, 94.0, 92.0]
    young = PlaylistFollower(hold_s=60.0).observe(copy, refs(copy), 100.0)
    assert [item.key.msn for item in young] == [0, 1, 2, 3, 4]
    ended = playlist(["a", "b"], ended=True)
    assert [item.key.msn for item in PlaylistFollower(hold_s=60.0).observe(ended, refs(ended), 0.0)] == [1, 0]


def test_later_copies_give_only_what_is_new_in_order() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a", "b"])
    assert observe(follower, ["b", "c", "d"], first=1, now=4.0) == [SegmentKey(0, 2), SegmentKey(0, 3)]
    assert observe(follower, ["b", "c", "d"], first=1) == []
    assert follower.last == SegmentKey(0, 3)


def test_an_empty_copy_says_nothing() -> None:
    follower = PlaylistFollower()
    assert observe(follower, []) == []
    assert follower.last is None


def test_an_old_copy_is_passed_over() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a", "b", "c", "d"])
    assert observe(follower, ["a", "b"]) == []
    assert follower.generation == 0


def test_a_rewound_origin_begins_a_generation_and_numbers_go_on() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a", "b", "c"], first=50)
    copy = playlist(["x", "y"], first=0)
    found = follower.observe(copy, refs(copy), 9.0)
    assert [item.key for item in found] == [SegmentKey(1, 53), SegmentKey(1, 54)]
    assert [item.boundary for item in found] == [True, False]
    assert follower.origin_msn(54) == 1


def test_an_old_copy_from_before_we_came_is_no_rewind() -> None:
    """A list of two segments, and a cache that is older than that: nothing in the copy was ever seen here."""
    follower = PlaylistFollower()
    observe(follower, ["c", "d"], first=52, now=10.0)
    assert observe(follower, ["a", "b"], first=50, now=12.0) == []
    assert observe(follower, ["j", "k"], first=59, now=26.0) == [SegmentKey(0, 59), SegmentKey(0, 60)]
    # Nor is one of what we missed.
    assert observe(follower, ["f", "g"], first=55, now=28.0) == []
    assert observe(follower, ["k", "l"], first=60, now=30.0) == [SegmentKey(0, 61)]


def test_a_rewind_by_no_more_than_caches_are_old_has_to_come_alone_for_a_while() -> None:
    limit_s = PRESENT_TARGET_DURATIONS * 2
    for below, waits in ((int(FORMER_S) // 2, True), (int(FORMER_S) // 2 + 1, False)):
        follower = PlaylistFollower()
        observe(follower, ["a", "b"], first=50 + below, now=10.0)
        assert bool(observe(follower, ["x"], first=51, now=10.0 + limit_s)) is not waits
        assert observe(follower, ["x", "y"], first=51, now=10.1 + limit_s) != []
        assert follower.generation == 1


def test_a_copy_from_before_a_rewind_is_passed_over_for_a_while() -> None:
    follower = PlaylistFollower()
    former, now = ["a", "b", "c"], FORMER_S
    observe(follower, former, first=50)
    assert observe(follower, ["x", "y"], now=1.0) == [SegmentKey(1, 53), SegmentKey(1, 54)]
    assert observe(follower, former, first=50, now=2.0) == []
    assert observe(follower, ["y", "z"], first=1, now=now) == [SegmentKey(1, 55)]
    # An origin that names its segments by their numbers gets there again.
    assert observe(follower, former, first=50, now=now + 94.0) != []


def test_after_a_restart_it_still_knows_what_was_before_a_rewind() -> None:
    follower = PlaylistFollower()
    follower.resume(timing(50, "a"), origin_msn=50)
    follower.resume(timing(51, "x", generation=1), origin_msn=0)
    assert observe(follower, ["a"], first=50) == []
    assert observe(follower, ["x", "y"]) == [SegmentKey(1, 52)]


def test_an_old_copy_may_name_what_was_missed_while_the_present_one_comes_too() -> None:
    """Killed before a rewind and back after it: what a cache still lists was never seen here in full."""
    follower = PlaylistFollower()
    follower.resume(timing(50, "b"), origin_msn=50)
    assert observe(follower, ["x"], first=19, now=10.0) == [SegmentKey(1, 51)]
    former = ["a", "b", "c", "d"]
    limit_s = PRESENT_TARGET_DURATIONS * playlist(former).target_duration_s
    assert observe(follower, former, first=49, now=10.0 + limit_s) == []
    # One of them has another name: that is no former copy.
    assert len(observe(follower, ["q", "r"], first=50, now=11.0)) == 2


def test_an_origin_that_goes_back_for_good_is_followed() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a", "b"], first=50)
    assert observe(follower, ["x"], now=10.0) == [SegmentKey(1, 52)]
    limit_s = PRESENT_TARGET_DURATIONS * playlist(["x"]).target_duration_s
    assert observe(follower, ["b", "c"], first=51, now=10.0 + limit_s) == []
    assert len(observe(follower, ["b", "c"], first=51, now=10.1 + limit_s)) == 2


def test_other_uris_under_known_numbers_are_a_rewind() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a", "b", "c"])
    assert observe(follower, ["x", "y"], first=1, now=FORMER_S + 0.1) == [SegmentKey(1, 3), SegmentKey(1, 4)]


def test_both_lives_of_an_origin_may_begin_from_the_same_number() -> None:
    """A cache answers with what was listed before we came: which of the two is old, only time tells."""
    limit_s = PRESENT_TARGET_DURATIONS * 2
    follower = PlaylistFollower()
    observe(follower, ["x", "y"], now=10.0)
    former = ["a", "b", "c"]
    assert observe(follower, former, now=11.0) == []
    assert follower.passed_over
    assert observe(follower, ["x", "y", "z"], now=12.0) == [SegmentKey(0, 2)]
    assert observe(follower, former, now=12.0 + limit_s) == []
    # One that names anything of the present life is of that one.
    assert len(observe(follower, ["x", "q"], now=12.0 + limit_s)) == 2
    # It alone comes.
    late = PlaylistFollower()
    observe(late, ["a", "b"], now=10.0)
    assert observe(late, ["x", "y"], now=10.0 + limit_s) == []
    assert observe(late, ["x", "y"], now=10.1 + limit_s) == [SegmentKey(1, 2), SegmentKey(1, 3)]
    # Who is to be believed has told that it is the present one.
    told = PlaylistFollower()
    observe(told, ["a", "b"], now=10.0)
    told.confirm(f"{BASE}y")
    assert observe(told, ["x", "y"], now=11.0) == [SegmentKey(1, 2), SegmentKey(1, 3)]


def test_a_copy_from_before_a_rewind_to_the_same_numbers_is_passed_over() -> None:
    follower = PlaylistFollower()
    follower.resume(timing(0, "a"), origin_msn=0)
    assert observe(follower, ["x", "y"], now=10.0) == [SegmentKey(1, 1), SegmentKey(1, 2)]
    assert observe(follower, ["a", "b"], now=11.0) == []
    assert observe(follower, ["x", "y", "z"], now=12.0) == [SegmentKey(1, 3)]
    # Segments that are named by their numbers have the same names in both.
    named = PlaylistFollower()
    named.resume(timing(0, "a"), origin_msn=0)
    observe(named, ["x", "b"], now=10.0)
    assert observe(named, ["a", "b"], now=11.0) == [SegmentKey(2, 3), SegmentKey(2, 4)]


def test_after_a_hole_the_numbers_are_the_origins() -> None:
    follower = PlaylistFollower()
    observe(follower, ["a"], first=0)
    assert observe(follower, ["k"], first=10) == [SegmentKey(0, 10)]


def test_who_began_after_a_rewind_does_not_run_ahead_with_an_old_copy() -> None:
    """A cache answers with what was listed before: numbers that no origin can have reached in a second."""
    follower = PlaylistFollower()
    observe(follower, ["a", "b", "c"], now=10.0)
    former = [f"f{msn}" for msn in range(8)]
    assert observe(follower, former, first=789, now=11.0) == []
    assert follower.passed_over
    assert observe(follower, ["a", "b", "c", "d"], now=12.0) == [SegmentKey(0, 3)]
    assert not follower.passed_over
    # Nothing else comes: the origin is there.
    limit_s = PRESENT_TARGET_DURATIONS * 2
    assert observe(follower, former, first=789, now=12.0 + limit_s) == []
    assert len(observe(follower, former, first=789, now=12.1 + limit_s)) == 8


def test_as_much_as_caches_may_be_old_is_a_hole() -> None:
    most = int(FORMER_S + 1.0) // 2
    for missed, is_taken in ((most, True), (most + 1, False)):
        follower = PlaylistFollower()
        observe(follower, ["a"], now=10.0)
        assert bool(observe(follower, ["k"], first=1 + missed, now=11.0)) is is_taken


def test_an_origin_that_turns_out_to_be_behind_is_followed_there() -> None:
    """What was taken for the continuation was old, and could not be told from it: nothing more of it comes."""
    follower = PlaylistFollower()
    observe(follower, ["a", "b"], now=10.0)
    assert observe(follower, ["k", "l"], first=8, now=12.0) == [SegmentKey(0, 8), SegmentKey(0, 9)]
    limit_s = PRESENT_TARGET_DURATIONS * 2
    assert observe(follower, ["a", "b", "c"], now=12.0 + limit_s) == []
    # What does not grow is old, however long it comes alone.
    assert observe(follower, ["a", "b"], now=12.1 + limit_s) == []
    assert observe(follower, ["a", "b", "c"], now=12.1 + limit_s) == [SegmentKey(1, msn) for msn in (10, 11, 12)]
    assert observe(follower, ["k", "l"], first=8, now=13.0 + limit_s) == []


def test_after_a_restart_an_old_copy_has_to_come_alone_for_a_while() -> None:
    follower = PlaylistFollower()
    for msn, name in ((5, "f"), (9, "j")):
        follower.resume(timing(msn, name), origin_msn=msn)
    assert observe(follower, ["f", "g"], first=5, now=100.0) == []
    limit_s = PRESENT_TARGET_DURATIONS * 2
    assert observe(follower, ["f", "g"], first=5, now=100.0 + limit_s) == []
    assert len(observe(follower, ["f", "g"], first=5, now=100.1 + limit_s)) == 2


def test_it_goes_on_after_a_restart() -> None:
    follower = PlaylistFollower()
    follower.resume(timing(41, "b", generation=3), origin_msn=1)
    assert observe(follower, ["a", "b", "c"]) == [SegmentKey(3, 42)]


def test_it_forgets_the_oldest_uris() -> None:
    follower = PlaylistFollower()
    for msn in range(0, 2 * REMEMBERED_SEGMENTS, 1_000):
        observe(follower, [f"s{msn + i}" for i in range(1_000)], first=msn)
    assert len(follower._uris) <= REMEMBERED_SEGMENTS


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_numbers_never_fall_and_never_repeat(moves: list[tuple[int, bool]]) -> None:
    follower = PlaylistFollower()
    life, head, seen = 0, 3, []
    for step, (advance, rewinds) in enumerate(moves):
        if rewinds:
            life, head = life + 1, 3
        head += advance
        first = max(0, head - 4)
        names = [f"{life}-{msn}" for msn in range(first, head)]
        copy = playlist(names, first=first)
        found = follower.observe(copy, refs(copy), 10.0 * step)
        seen += sorted(item.key for item in found)
        assert all(item.ref.startswith(BASE) for item in found)
    assert seen == sorted(set(seen))
    assert [key.msn for key in seen] == sorted({key.msn for key in seen})


def test_a_list_that_moves_is_the_same_list() -> None:
    """A redirect leads to another host, folder or token: hosts of a CDN take turns."""
    follower = PlaylistFollower()
    first = playlist(["v/a.ts", "v/b.ts"])
    follower.observe(first, ["https://one/x/v/a.ts", "https://one/x/v/b.ts"], 0.0)
    for names in (["v/a.ts", "v/b.ts"], ["v/a.ts?t=1", "v/b.ts?t=1"], ["https://two/x/v/a.ts", "https://two/x/v/b.ts"]):
        copy = playlist(names)
        assert follower.observe(copy, [f"https://two/y/{name}" for name in names], 1.0) == []
    assert follower.generation == 0
    # As it is written, it is another.
    moved = playlist(["w/a.ts", "w/b.ts"])
    assert len(follower.observe(moved, ["https://one/x/w/a.ts", "https://one/x/w/b.ts"], 8.0)) == 2
    assert follower.generation == 1


def test_of_what_lies_before_the_first_only_so_much_is_found() -> None:
    copy = playlist(["a", "b", "c", "d", "e"], discontinuities=[1])
    found = PlaylistFollower(hold_s=3.0, max_older=1).observe(copy, refs(copy), 100.0)
    assert [(item.key.msn, item.older) for item in found] == [(2, False), (3, False), (4, False), (1, True)]
    # It is known all the same: nothing is found twice, and nothing is taken for a rewind.
    follower = PlaylistFollower(max_older=0)
    assert observe(follower, ["a", "b", "c"]) == [(0, 2)]
    assert observe(follower, ["b", "c", "d"], first=1) == [(0, 3)]


def test_a_copy_with_a_great_many_is_followed_like_any_other() -> None:
    count = REMEMBERED_SEGMENTS + 1_000
    names = [f"s{number}" for number in range(2 * count + 1)]
    follower = PlaylistFollower()
    assert follower.unseen(playlist(names[:count])) == count
    assert len(observe(follower, names[:count])) == count
    later = playlist(names[1 : count + 3], first=1)
    assert follower.unseen(later) == 3
    found = follower.observe(later, refs(later), 100.0)
    assert [(item.key.msn, item.arrived, item.seen) for item in found] == [
        (count, 96.0, False), (count + 1, 98.0, False), (count + 2, 100.0, True)
    ]  # fmt: skip
    # An older copy finds nothing; one with other names under the newest numbers is a rewind.
    assert observe(follower, names[:count]) == []
    assert follower.unseen(playlist(names[:count])) == count
    more = observe(follower, names[: 2 * count])
    assert [key.msn for key in (more[0], more[-1])] == [count + 3, 2 * count - 1]
    assert observe(follower, [*names[count : 2 * count - 1], "x"], first=count)[0] == (1, 2 * count)


def test_how_many_may_be_new() -> None:
    follower = PlaylistFollower()
    assert follower.unseen(playlist([])) == 0
    observe(follower, ["a", "b", "c"], first=5)
    assert follower.unseen(playlist(["b", "c"], first=6)) == 0
    assert follower.unseen(playlist(["c", "d"], first=7)) == 1
    # It may have begun anew.
    assert follower.unseen(playlist(["a", "b"], first=5)) == 2
    assert follower.unseen(playlist(["x", "y"], first=90)) == 2
