from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from kernel.blackouts import Veil, Window, ZoneSet
from kernel.timeline import SegmentKey
from relay.playlist import Listed, listed
from relay.splice import Cut, Piece, Place, Plan, darkness, label_of, place_in, place_lost, plan, splice
from tests.support.playlists import BASE, playlist


def items(
    first: int, count: int, *, discontinuities: Sequence[int] = (), sequence: int = 0, broken: Sequence[int] = ()
) -> list[Listed]:
    copy = playlist([f"{first + n}.ts" for n in range(count)], first=first, discontinuities=discontinuities)
    out = []
    for n, segment in enumerate(copy.segments):
        sequence += segment.discontinuity
        out.append(
            listed(
                segment,
                SegmentKey(0, first + n),
                BASE + segment.uri,
                lambda uri: BASE + uri,
                discontinuities=int(segment.discontinuity),
                discontinuity_sequence=sequence,
                broken=n in broken,
                prefix="",
            )
        )
    return out


def cut(msn: int, *active: str, late: Sequence[str] = ()) -> Cut:
    return Cut(SegmentKey(0, msn), frozenset(active), frozenset(late))


def zones(**leads: str | None) -> ZoneSet:
    return tuple(Veil(name, Window(), redirect, 0.0) for name, redirect in leads.items())


class Table:
    """What is known, written down."""

    def __init__(self, places: dict[tuple[int, str], Place]) -> None:
        self.places = places

    def place(self, cut: Cut, stream: str, *, up: bool) -> Place | None:
        return self.places.get((cut.key.msn, stream))

    def own(self, stream: str, msn: int) -> int | None:
        return None


GROUND = Table(
    {
        (10, "game"): Place(10, 2, 2),
        (10, "local"): Place(100, 7, 8),
        (20, "game"): Place(20, 3, 3),
        (20, "local"): Place(105, 9, 9),
        (20, "other"): Place(50, 0, 0),
        (30, "game"): Place(30, 3, 4),
        (30, "local"): Place(110, 9, 9),
        (30, "other"): Place(50, 0, 0),
    }
)


def test_who_is_inside_of_several_goes_by_the_first() -> None:
    both = zones(a="local", b=None)
    assert label_of(frozenset("ab"), both) == both[0]
    assert label_of(frozenset("b"), both) == both[1]
    assert label_of(frozenset("c"), both) is None


def test_nothing_is_spliced_without_cuts() -> None:
    assert plan("game", [], zones(a="local"), GROUND) == Plan((Piece("game"),), blocked=False)
    assert plan("game", [cut(10, "b")], zones(a="local"), GROUND) == Plan((Piece("game"),), blocked=False)


def test_numbers_and_discontinuities_are_added_up_over_a_splice() -> None:
    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), GROUND)
    assert made_of.pieces == (
        Piece("game", -inf, 10),
        # 2 was the last before it, and its own first one is no. 8: that becomes no. 3.
        Piece("local", 100, 105, 100, 10, -5, 3, 2, spliced=True),
        # Five segments stood for ten; no. 9 had become no. 4, and no. 3 of the showing becomes no. 5.
        Piece("game", 20, inf, 20, 15, 2, 5, 4, spliced=True),
    )
    assert made_of.holds("local", 104)
    assert not made_of.holds("local", 105)


def test_two_that_lead_to_one_stream_are_one_splice() -> None:
    cuts = [cut(10, "a"), cut(20, "b"), cut(30)]
    made_of = plan("game", cuts, zones(a="local", b="local"), GROUND)
    assert [(piece.stream, piece.first, piece.stop) for piece in made_of.pieces[1:]] == [
        ("local", 100, 110), ("game", 30, inf),
    ]  # fmt: skip


def test_a_stream_that_had_nothing_to_show_leaves_its_discontinuity_to_who_comes_next() -> None:
    cuts = [cut(10, "a"), cut(20, "b"), cut(30)]
    made_of = plan("game", cuts, zones(a="local", b="other"), GROUND)
    assert [piece.stream for piece in made_of.pieces] == ["game", "local", "game"]
    assert made_of.pieces[-1] == Piece("game", 30, inf, 30, 15, 1, 5, 4, spliced=True)


def test_where_it_goes_on_is_waited_for() -> None:
    unknown = Table({(10, "game"): Place(10, 2, None)})
    assert plan("game", [cut(10, "a")], zones(a="local"), unknown) == Plan((Piece("game", -inf, 10),), blocked=False)
    nothing = Table({})
    assert plan("game", [cut(10, "a")], zones(a="local"), nothing).pieces == (Piece("game"),)
    late = plan("game", [cut(10, "a", late="a")], zones(a="local"), nothing)
    assert late.pieces == ()


SOUND = Table(
    {
        (10, "game"): Place(11, 2, 2),
        # Of what the lead shows between 100 and its next discontinuity there is no sound.
        (10, "local"): Place(91, 8, 9),
        (20, "game"): Place(22, 3, 3),
        (20, "local"): Place(95, 9, 9),
    }
)


def test_further_renditions_are_counted_as_the_lead_is() -> None:
    cuts, inside = [cut(10, "a"), cut(20)], zones(a="local")
    made_of = plan("game", cuts, inside, SOUND, GROUND)
    assert [(piece.shift, piece.before) for piece in made_of.pieces[1:]] == [(-5, 2), (2, 4)]
    kept = {
        "game": items(9, 14, discontinuities=[12], sequence=2),
        "local": items(88, 8, discontinuities=[3], sequence=8),
    }
    found = splice(made_of, kept)
    assert [one.item.discontinuities for one in found] == [0, 0, 2, 0, 0, 0, 1]
    assert [one.item.discontinuity_sequence for one in found] == [2, 2, 4, 4, 4, 4, 5]
    # By itself it would be one behind from there on.
    assert [piece.shift for piece in plan("game", cuts, inside, SOUND).pieces[1:]] == [-6, 1]


class Spanning(Table):
    """A segment of the redirect stream's sound spans the second cut."""

    def place(self, cut: Cut, stream: str, *, up: bool) -> Place | None:
        place = super().place(cut, stream, up=up)
        if place is None or (cut.key.msn, stream, up) != (20, "local", True):
            return place
        return Place(96, 10, 10)


def test_sound_that_lies_behind_a_discontinuity_that_the_lead_does_not_come_to_is_left_out() -> None:
    spanning = Spanning(dict(SOUND.places))
    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), spanning, GROUND)
    assert [(piece.first, piece.stop) for piece in made_of.pieces[1:]] == [(91, 95), (22, inf)]
    # Where it is not behind one it fills the rest.
    ahead = Table({**GROUND.places, (20, "local"): Place(105, 10, 10)})
    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), spanning, ahead)
    assert [(piece.first, piece.stop) for piece in made_of.pieces[1:]] == [(91, 96), (22, inf)]


def test_a_piece_whose_only_segment_of_sound_is_left_out_takes_no_number() -> None:
    short = {
        (10, "game"): Place(11, 2, 2), (10, "local"): Place(91, 8, 9), (20, "game"): Place(22, 3, 3),
        # The last before the piece is what spans its end.
        (20, "local"): Place(90, 8, 8),
    }  # fmt: skip
    ahead = Table({**GROUND.places, (20, "local"): Place(105, 7, 7)})

    class Short(Table):
        def place(self, cut: Cut, stream: str, *, up: bool) -> Place | None:
            place = super().place(cut, stream, up=up)
            return Place(91, 8, 9) if place is not None and place.msn == 90 and up else place

    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), Short(short), ahead)
    assert [(piece.stream, piece.number) for piece in made_of.pieces] == [("game", 0), ("game", 11)]


def test_a_rendition_waits_where_the_leads_number_is_not_known() -> None:
    unknown = Table({key: place for key, place in GROUND.places.items() if key != (10, "local")})
    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), SOUND, unknown)
    assert made_of == Plan((Piece("game", -inf, 11),), blocked=False)


def test_a_block_ends_the_list_and_behind_it_the_usual_one_begins() -> None:
    blocked = plan("game", [cut(10, "a")], zones(a=None), GROUND)
    assert blocked == Plan((Piece("game", -inf, 10),), blocked=True)
    assert plan("game", [cut(10, "a"), cut(20)], zones(a=None), GROUND) == Plan((Piece("game", 20),), blocked=False)


def test_late_the_list_begins_anew_under_numbers_that_go_on() -> None:
    made_of = plan("game", [cut(10, "a", late="a")], zones(a="local"), GROUND)
    assert made_of.pieces == (Piece("local", 100, inf, 100, 10, -5, 3, 2, spliced=True, undated=True),)
    assert darkness("game", [cut(10, "a", late="a"), cut(20)], zones(a="local"), GROUND) == [(0, 20)]


def test_late_what_stands_in_bears_no_dates_but_as_from_its_beginning_it_does() -> None:
    dates = (
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-07T19:00:00Z",
        '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-07T19:00:00Z"',
    )
    (item,) = items(100, 1)
    item = replace(item, lines=(dates[0], "#EXTINF:2.000,", dates[1], "#EXT-X-BITRATE:900"))
    for late, lines in (("a", ("#EXTINF:2.000,", "#EXT-X-BITRATE:900")), ("", item.lines)):
        made_of = plan("game", [cut(10, "a", late=late)], zones(a="local"), GROUND)
        assert splice(made_of, {"local": [item]})[-1].item.lines == lines


def test_what_is_dark_begins_and_ends_with_cuts() -> None:
    cuts = [cut(10, "a"), cut(20, "a", "b"), cut(30, "b")]
    assert darkness("game", cuts, zones(a="local"), GROUND) == [(10, 30)]
    assert darkness("game", cuts, zones(b=None), GROUND) == [(20, inf)]
    assert darkness("game", [cut(40, "a")], zones(a="local"), GROUND) == []


def test_a_list_is_what_is_kept_of_its_pieces_without_a_hole() -> None:
    made_of = plan("game", [cut(10, "a"), cut(20)], zones(a="local"), GROUND)
    kept = {"game": items(8, 14, sequence=2), "local": items(98, 9, sequence=8)}
    found = splice(made_of, kept)
    assert [(one.number, one.stream, one.item.key.msn) for one in found] == [
        (8, "game", 8), (9, "game", 9), *((10 + n, "local", 100 + n) for n in range(5)), (15, "game", 20),
        (16, "game", 21),
    ]  # fmt: skip
    assert [one.item.discontinuities for one in found] == [int(n in (2, 7)) for n in range(9)]
    assert [one.item.discontinuity_sequence for one in found][:3] == [2, 2, 3]
    # What is missing in the middle parts it: what lies before is not shown.
    assert [one.number for one in splice(made_of, {**kept, "local": items(102, 9, sequence=8)})] == [12, 13, 14, 15, 16]
    assert splice(made_of, {}) == []


def test_what_is_broken_off_begins_the_list_but_not_at_an_edge() -> None:
    made_of = Plan((Piece("game", -inf, 10), Piece("local", 100, inf, 100, 10, 1, 1, 0, spliced=True)), blocked=False)
    kept = {"game": items(7, 3, broken=[1]), "local": items(100, 2, broken=[0])}
    assert [one.number for one in splice(made_of, kept)] == [8, 9, 10, 11]


def test_where_a_rendition_stands_is_told_by_what_is_kept() -> None:
    kept = items(5, 3, discontinuities=[1], sequence=4)
    assert place_in(kept, 6) == Place(6, 4, 5)
    assert place_in(kept, 8) == Place(8, 5, None)
    assert place_in(kept, 5) == Place(5, 4, 4)
    assert place_in(kept, 4) is None
    assert place_in(kept, 9) is None


def test_where_it_stood_before_what_was_never_out_is_told_by_what_lies_behind() -> None:
    kept = [*items(5, 3, discontinuities=[0], sequence=4), *items(12, 1, sequence=5)]
    # The discontinuity stands before the first that is kept, whatever was before it.
    assert place_lost(kept, 3) == Place(3, kept[0].discontinuity_sequence - 1, kept[0].discontinuity_sequence - 1)
    assert place_lost(kept, 10) == Place(10, kept[2].discontinuity_sequence, kept[2].discontinuity_sequence)
    assert [place_lost(kept, msn) for msn in (5, 12, 13, 20)] == [None] * 4
    assert place_lost([], 1) is None
