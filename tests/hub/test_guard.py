from __future__ import annotations

from typing import Any

import pytest

from hub.guard import Guard
from kernel.cues import CueClass, Entry
from kernel.timeline import END
from tests.hub.makers import at, entry, opened, state


def guard(*, msn: int = 1) -> Guard:
    one = Guard()
    one.note_state(state())
    one.note_opened(opened(msn, 0))
    return one


def fault(one: Guard, *entries: Entry, frontier: Any = None, trading: bool = False, safety: bool = False) -> str | None:
    return one.fault_in(entries, frontier or at(4), trading=trading, safety=safety)


def test_what_is_due_and_open_may_go() -> None:
    assert fault(guard(), entry(1, at(1)), entry(0, at(3.9)), entry(2, None)) is None


@pytest.mark.parametrize(
    ("entries", "frontier", "said"),
    [
        ([entry(0, at(4))], at(4), "the frontier"),
        ([entry(0, at(4))], at(9), "open is"),
        ([entry(0, at(3)), entry(1, at(2))], at(4), "behind a later one"),
        ([entry(1, at(3)), entry(0, at(3))], at(4), "behind a later one"),
        ([entry(0, None, cls=CueClass.LOCKED)], at(4), "no safety"),
    ],
)
def test_what_may_not(entries: list[Entry], frontier: Any, said: str) -> None:
    told = fault(guard(), *entries, frontier=frontier)
    assert told is not None
    assert said in told


def test_the_safety_lane_is_for_safety() -> None:
    assert fault(guard(), entry(0, None), safety=True) is None
    assert "safety lane" in str(fault(guard(), entry(0, at(1)), safety=True))


def test_a_desk_sees_everything() -> None:
    assert fault(guard(), entry(0, at(99)), trading=True, frontier=END) is None


def test_what_opened_unmarked_opens_nothing() -> None:
    one = guard(msn=0)
    one.note_opened(opened(1, 0, marked=False))
    assert fault(one, entry(0, at(1))) is None
    assert fault(one, entry(0, at(3))) is not None


def test_at_the_end_everything_is_due_and_not_before() -> None:
    one = guard(msn=1)
    one.note_state(state(ended=True, last=2))
    assert fault(one, entry(0, at(99)), frontier=END) is not None
    one.note_opened(opened(2, 0))
    assert fault(one, entry(0, at(99)), frontier=END) is None
    unnamed = guard()
    unnamed.note_state(state(ended=True))
    assert fault(unnamed, entry(0, at(99)), frontier=END) is None
