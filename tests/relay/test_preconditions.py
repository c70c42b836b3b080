from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from relay.preconditions import CONDITION_HEADERS, Condition, condition_of


@pytest.mark.parametrize(
    ("headers", "condition", "holds", "fails"),
    [
        ({}, Condition(), [None, 1, 2], []),
        ({"if-match": '"2"'}, Condition(frozenset({2})), [2], [None, 1]),
        ({"if-match": '"2", "3"'}, Condition(frozenset({2, 3})), [2, 3], [None, 1]),
        ({"if-match": "*"}, Condition(exists=True), [1, 2], [None]),
        ({"if-none-match": "*"}, Condition(absent=True), [None], [1]),
    ],
)
def test_conditions(
    headers: dict[str, str], condition: Condition, holds: list[int | None], fails: list[int | None]
) -> None:
    assert condition_of(headers) == condition
    assert [condition.holds(version) for version in holds] == [True] * len(holds)
    assert [condition.holds(version) for version in fails] == [False] * len(fails)


@pytest.mark.parametrize(
    "headers",
    [{"if-match": value} for value in ("2", '"0"', 'W/"2"', '"x"', "", '"1",', '"1"' + " " * 600)]
    + [{"if-none-match": '"2"'}],
)
def test_conditions_that_are_none(headers: dict[str, str]) -> None:
    with pytest.raises(DecodeError, match="Match"):
        condition_of(headers)


def test_it_is_described_as_it_is_read() -> None:
    assert {name.lower() for name in CONDITION_HEADERS} == {"if-match", "if-none-match"}
