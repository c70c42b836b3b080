"""The exception tree is the one its docstring draws."""

from __future__ import annotations

import inspect
import re

from kernel import errors


def test_the_drawing_is_the_tree() -> None:
    drawn = dict.fromkeys(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    defined = [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.LockstepError) and kind is not errors.LockstepError
    ]
    assert sorted(drawn) == sorted(defined)


def test_who_inherits_from_whom() -> None:
    """Each line's depth in the drawing says whose child it is."""
    parents = {0: "LockstepError"}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:│   )*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4
            parents[depth + 1] = match[2]
            assert getattr(errors, match[2]).__base__.__name__ == parents[depth]


def test_all_can_be_caught_at_once() -> None:
    assert issubclass(errors.LockstepError, Exception)
    assert errors.LockstepError.__base__ is Exception
