"""The garbage collector's set-up."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lockstep.collector import THRESHOLDS, set_up_collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_was_made_at_start_up_is_no_matter_any_more() -> None:
    kept = [[]]  # type: ignore[var-annotated]
    set_up_collector()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 1_000
    assert not any(one is kept for one in gc.get_objects())


def test_what_holds_itself_still_goes() -> None:
    set_up_collector()
    gc.collect()
    loop: list[object] = []
    loop.append(loop)
    del loop
    assert gc.collect() == 1
