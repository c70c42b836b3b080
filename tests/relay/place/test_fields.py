"""Fields of a policy's text."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from kernel.errors import DecodeError
from relay.place.fields import (
    choice_of,
    flag_of,
    inside,
    list_of,
    number_of,
    object_of,
    position_of,
    quoted,
    text_of,
)  # fmt: skip
from relay.place.model import ClassAction, Point

WRONG: list[tuple[Callable[[], object], str]] = [
    # Objects
    (lambda: object_of([], "gps", {}), "gps: an object is expected, not list"),
    (lambda: object_of(None, "", {}), "the policy: an object is expected, not None"),
    (lambda: object_of({"b": 1}, "a", {"c": False, "d": False}), "a.b: there is no such field; there are c, d"),
    (lambda: object_of({"\x1b[2J\ud800" + "x" * 999: 1}, "", {"c": False}), "\\x1b[2J\\ud800xxx"),
    (lambda: object_of({}, "a", {"c": True}), "a.c: the field is missing"),
    # Lists
    (lambda: list_of("ab", "a"), "a: a list is expected, not 'ab'"),
    (lambda: list_of([], "a"), "a: the list has 0 entries; at least 1 is expected"),
    # Texts
    (lambda: text_of("", "a", most=3), "a: a text of 1 to 3 printable characters is expected, not ''"),
    (lambda: text_of("abcd", "a", most=3), "a: a text of 1 to 3"),
    (lambda: text_of("a\n", "a", most=3), "a: a text of 1 to 3"),
    (lambda: text_of("  ", "a", most=3), "a: a text of 1 to 3"),
    (lambda: text_of(7, "a", most=3), "not 7"),
    # Flags
    (lambda: flag_of(1, "a"), "a: true or false is expected, not 1"),
    # Numbers
    (lambda: number_of("1", "a", 0, 1), "a: a number is expected, not '1'"),
    (lambda: number_of(True, "a", 0, 1), "a: a number is expected, not True"),
    (lambda: number_of(math.nan, "a", 0, 1), "a: a number is expected, not nan"),
    (lambda: number_of(math.inf, "a", 0, 1), "a: a number is expected, not inf"),
    (lambda: number_of(1.5, "a", 0, 1), "a: 1.5 is out of range; from 0 to 1 is expected"),
    # Words
    (lambda: choice_of("deny", "a", ClassAction), "a: 'deny' is none of block, warn, allow"),
    (lambda: choice_of(["block"], "a", ClassAction), "a: list is none of"),
    # Positions
    (lambda: position_of([1], "a"), "a: [longitude, latitude] is expected"),
    (lambda: position_of([1, 2, 3], "a"), "a: [longitude, latitude] is expected"),
    (lambda: position_of({"lon": 1}, "a"), "a: [longitude, latitude] is expected"),
    (lambda: position_of([181, 2], "a"), "a[0]: 181 is out of range; from -180 to 180"),
    (lambda: position_of([0, -91], "a"), "a[1]: -91 is out of range; from -90 to 90"),
    (lambda: position_of([0, None], "a"), "a[1]: a number is expected, not None"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "said"), WRONG)
def test_what_is_wrong_is_named(read: Callable[[], object], said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read()
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_right_is_returned() -> None:
    assert object_of({"a": 1}, "", {"a": True, "b": False}) == {"a": 1}
    assert list_of([], "a", least=0) == []
    assert text_of("Köln", "a", most=4) == "Köln"
    assert flag_of(False, "a") is False
    assert number_of(1, "a", 0, 1) == 1.0
    assert choice_of("warn", "a", ClassAction) is ClassAction.WARN
    assert position_of([-118.2437, 34.0522], "a") == Point(-118.2437, 34.0522)


def test_what_is_quoted_is_short() -> None:
    assert quoted("x" * 999) == "'" + "x" * 60 + "..."
    assert quoted({"a": 1}) == "dict"
    assert quoted("\u2028") == "'\\u2028'"
    assert inside("", "a") == "a"
    assert inside("a", "b") == "a.b"
