from __future__ import annotations

import gc
from typing import Any, Literal

import pytest

from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.value import (
    FIRST_MS,
    LAST_MS,
    Chars,
    Count,
    Milliseconds,
    Record,
    Shape,
    Value,
    reader,
    replace,
    set_aside,
    to_map,
)


class Point(Value, frozen=True, gc=False):
    x: int
    tags: list[str]


class Place(Record, gc=False):
    point: Point


def test_a_value_is_compared_and_copied_but_never_changed() -> None:
    one = Point(1, ["a"])
    assert (one == Point(1, ["a"]), one == Point(2, ["a"])) == (True, False)
    assert replace(one, x=2) == Point(2, ["a"])
    assert to_map(one) == {"x": 1, "tags": ["a"]}
    with pytest.raises(AttributeError):
        one.x = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="z"):
        replace(one, z=1)


def test_a_record_may_be_changed() -> None:
    place = Place(Point(1, []))
    place.point = Point(2, [])
    assert place == Place(Point(2, []))


def test_the_collector_does_not_look_at_what_comes_by_the_ten_thousand() -> None:
    cue = Cue("a", 1, Op.NEW, CueType.PRICE, CueClass.LOCKED, None, None, None, None, None, 0, {"price": {}})
    assert not any(map(gc.is_tracked, (Place(Point(1, ["a"])), cue, Entry(0, cue, None))))
    # A body has no hash; what names the cue has.
    assert hash(Entry(0, cue, None)) == hash(Entry(0, replace(cue, body={}), None))


class _Inner(Shape, gc=False, forbid_unknown_fields=True):
    n: Count


class _Outer(Shape, gc=False, forbid_unknown_fields=True):
    id: Chars
    op: Literal["new"]
    at: Milliseconds
    all: list[_Inner]
    rev: Count | None = None


GOOD: dict[str, Any] = {"id": "a", "op": "new", "at": FIRST_MS, "all": [{"n": 1}]}


@pytest.mark.parametrize("change", [{}, {"rev": 1}, {"rev": None}, {"at": LAST_MS - 1}, {"all": []}, {"id": "x" * 128}])
def test_what_has_the_shape_is_read(change: dict[str, Any]) -> None:
    read = reader(_Outer)(GOOD | change)
    assert read is not None
    assert read.id == (GOOD | change)["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""}, {"id": "x" * 129}, {"id": 1}, {"op": "amend"}, {"at": FIRST_MS - 1}, {"at": LAST_MS}, {"at": 1.5},
        {"at": "1"}, {"all": None}, {"all": [{"n": 0}]}, {"all": [{"n": True}]}, {"all": [{"n": 1.0}]},
        {"all": [{"n": 1, "m": 2}]}, {"all": [{}]}, {"rev": 0}, {"rev": True}, {"more": 1},
    ],
)  # fmt: skip
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    assert reader(_Outer)(GOOD | change) is None
    assert reader(_Outer)([GOOD | change]) is None


class _Kept(Value, frozen=True):
    name: str
    found: Any = None


def test_what_is_set_aside_is_found_by_the_value_that_never_changes() -> None:
    kept, found = _Kept("a"), object()
    set_aside(kept, "found", found)
    assert kept.found is found
    with pytest.raises(AttributeError, match="immutable"):
        kept.found = None  # type: ignore[misc]
