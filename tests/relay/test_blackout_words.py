from __future__ import annotations

import pytest

from kernel.blackouts import BlackoutRecord
from kernel.errors import DecodeError
from relay.blackout_words import blackout_of, event_of, told_of
from tests.relay.test_blackout_text import VERBATIM

ENDS = 1_774_652_400.0


def test_the_same_blackout_has_the_same_text() -> None:
    text, terms = blackout_of(VERBATIM.encode(), ENDS - 1)
    assert text.startswith('{"blackout_zones":[{"action":"redirect","code":"803"')
    assert blackout_of(text.encode(), ENDS - 1) == (text, terms)
    told = told_of(BlackoutRecord("blk_1", "game1", text, 1.5, "ops"))
    assert (told.blackout_id, told.event_id, told.made, told.by) == ("blk_1", "game1", 1500, "ops")
    assert told.blackout["vpn_policy"] == "block"


def test_what_is_over_cannot_be_made() -> None:
    with pytest.raises(DecodeError, match="end: it lies in the past"):
        blackout_of(VERBATIM.encode(), ENDS)
    with pytest.raises(DecodeError, match="the body is an object"):
        blackout_of(b"[]", 0.0)


def test_whose_are_listed() -> None:
    assert event_of({}) is None
    assert event_of({"event_id": "game1"}) == "game1"
    with pytest.raises(DecodeError, match="event_id"):
        event_of({"event_id": "a/b"})
