"""An adapter's result."""

from __future__ import annotations

from feeds.vendors.contract import Adapted


def test_a_message_may_say_nothing() -> None:
    first, second = Adapted(), Adapted()
    assert (first.facts, first.alive) == ([], None)
    assert first.facts is not second.facts
