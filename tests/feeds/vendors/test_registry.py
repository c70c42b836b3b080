"""Every adapter keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.vendors.contract import Adapted
from feeds.vendors.registry import ADAPTERS
from kernel.errors import DecodeError

FIELDS = [
    "id", "rev", "op", "type", "body", "occurred_at", "alive", "interval_s", "complete_to", "new", "play", "price",
    "actionNumber", "timeActual", "edited", "clock", "scoreHome", "scoreAway", "actions", "game", "milli",
]  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(FIELDS)
messages = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
)


@pytest.mark.parametrize("vendor", ADAPTERS)
@given(message=messages)
def test_an_adapter_answers_or_says_what_is_wrong(vendor: str, message: Any) -> None:
    said = ""
    try:
        assert isinstance(ADAPTERS[vendor]("source", message), Adapted)
    except DecodeError as error:
        said = str(error)
    assert said.isascii()
    assert len(said) < 400


def test_the_first_issue_s_vendors_are_there() -> None:
    assert set(ADAPTERS) >= {"lockstep", "nba"}
