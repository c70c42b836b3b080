from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from kernel.timeline import SegmentKey
from relay import cuts as module
from relay.cuts import Cuts, Edge, Record
from relay.splice import Cut, Place


def filled(*records: Record) -> Cuts:
    cuts = Cuts()
    for record in records:
        assert cuts.add(record)
    return cuts


def test_cuts_are_added_up_from_edges() -> None:
    cuts = filled(
        ["edge", 0, 10, "a", True, False], ["edge", 0, 20, "b", True, True], ["edge", 0, 20, "a", False, False]
    )
    assert cuts.all() == (
        Cut(SegmentKey(0, 10), frozenset("a")),
        Cut(SegmentKey(0, 20), frozenset("b"), frozenset("b")),
    )
    assert cuts.edges("a") == (Edge(SegmentKey(0, 10), True), Edge(SegmentKey(0, 20), False))
    assert cuts.revision == 3


@pytest.mark.parametrize(
    "again",
    [
        ["edge", 0, 10, "a", True, False],
        ["edge", 0, 15, "a", True, False],
        ["edge", 0, 20, "a", True, False],
        ["edge", 0, 9, "a", False, False],
        ["edge", 0, 15, "a", False, False],
        ["edge", 0, 30, "a", False, False],
    ],
)
def test_what_was_said_stays(again: Record) -> None:
    cuts = filled(["edge", 0, 10, "a", True, False], ["edge", 0, 20, "a", False, False])
    before = cuts.all()
    assert not cuts.add(again)
    assert cuts.all() == before


def test_a_beginning_may_turn_out_to_be_earlier_unless_it_was_late() -> None:
    cuts = filled(["edge", 0, 10, "a", True, False], ["edge", 0, 8, "a", True, False])
    assert cuts.edges("a") == (Edge(SegmentKey(0, 8), True),)
    late = filled(["edge", 0, 10, "a", True, True])
    assert not late.add(["edge", 0, 8, "a", True, False])


def test_places_are_kept_as_first_said() -> None:
    cuts = filled(["lead", 0, 10, "local", 100], ["place", 0, 10, "local", "v0", True, 100, 3, 4])
    assert not cuts.add(["lead", 0, 10, "local", 101])
    assert not cuts.add(["place", 0, 10, "local", "v0", True, 101, 3, 4])
    key = SegmentKey(0, 10)
    assert cuts.lead(key, "local") == 100
    assert cuts.place(key, "local", "v0", up=True) == Place(100, 3, 4)
    assert cuts.place(key, "local", "v0", up=False) is None
    assert cuts.lead(key, "other") is None


@pytest.mark.parametrize(
    "record",
    [
        [], ["edge"], ["edge", 0, 1], ["edge", 0, "x", "a", True, False], ["place", 0, 1, "s", "v0", True, 1, 2],
        ["lead", 0, 1, "s", None], ["what", 0, 1], [1, 2, 3, 4],
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(record: Record) -> None:
    with pytest.raises(DecodeError, match="a record of a cut"):
        Cuts().add(record)


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDS", 1)
    cuts = filled(["lead", 0, 10, "local", 100])
    with pytest.raises(DecodeError, match="no more are taken"):
        cuts.add(["lead", 0, 11, "local", 100])


def test_it_tells_what_it_holds_and_forgets_everything() -> None:
    records: list[Record] = [
        ["edge", 0, 10, "a", True, False],
        ["lead", 0, 10, "local", 100],
        ["place", 0, 10, "local", "v0", True, 100, 3, 4],
    ]
    cuts = filled(*records)
    assert all(cuts.holds(record) for record in records)
    assert not any(cuts.holds(record) for record in ([*record[:2], 11, *record[3:]] for record in records))
    assert not cuts.holds(["edge", 0, 10, "a", True, True])
    assert not cuts.holds(["place", 0, 10, "local", "v0", True, 100, 3, 5])
    cuts.clear()
    assert (cuts.all(), cuts.edges("a"), cuts.revision) == ((), (), 4)
    assert cuts.add(records[1])
