from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.blackouts import BlackoutRecord, Window
from kernel.errors import DecodeError
from kernel.pts import Ticks
from kernel.timeline import MediaTime
from relay.blackout_text import LIMITS, read_blackout
from relay.blackout_words import blackout_of, ended_of, event_of, forgets, told_of
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


STARTS = 1_774_639_800.0
REDIRECT = {"type": "all", "action": "redirect", "redirect_stream": "local"}


def text_of(**changes: Any) -> str:
    said = {"event_id": "game1", "blackout_zones": [REDIRECT], **changes}
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def test_a_redirect_that_has_begun_is_ended_at_the_moment() -> None:
    text, terms = blackout_of(VERBATIM.encode(), ENDS - 1)
    ended = ended_of(text, STARTS + 60.5)
    assert ended is not None
    assert ended[1] == STARTS + 60.5
    again = read_blackout(ended[0])
    assert again.window == terms.window._replace(end=STARTS + 60.5)
    assert [zone.redirect for zone in again.zones] == [zone.redirect for zone in terms.zones]
    # One that is over stays over where it was.
    assert ended_of(text, ENDS + 5) == (text, ENDS)
    at_once = ended_of(text_of(), STARTS)
    assert at_once is not None
    assert read_blackout(at_once[0]).window == Window(end=STARTS)


def test_one_by_media_time_is_over_by_whichever_end_comes_first() -> None:
    media = {"start_media": {"tl": 0, "pts": 5}, "end_media": {"tl": 0, "pts": 9}}
    ended = ended_of(text_of(**media), STARTS)
    assert ended is not None
    window = read_blackout(ended[0]).window
    assert window == Window(None, STARTS, MediaTime(0, Ticks(5)), MediaTime(0, Ticks(9)))
    with pytest.raises(DecodeError, match="end: times of the picture or media times, not both"):
        blackout_of(ended[0].encode(), STARTS - 1)


def test_of_others_nothing_goes_on() -> None:
    text, _ = blackout_of(VERBATIM.encode(), ENDS - 1)
    # It has not begun, or not by the millisecond that is written.
    assert ended_of(text, STARTS - 60) is None
    assert ended_of(text, STARTS + 0.0001) is None
    assert ended_of(text_of(blackout_zones=[{"type": "all", "action": "block"}]), STARTS) is None
    assert ended_of("{}", STARTS) is None
    # With its end it would be too long to be read.
    zone = {"type": "zip", "action": "redirect", "redirect_stream": "local", "codes": ["90012"]}
    while len(text_of(blackout_zones=[zone])) + 8 <= LIMITS.max_bytes:
        more = (LIMITS.max_bytes - len(text_of(blackout_zones=[zone]))) // 8
        zone["codes"] = ["90012"] * (len(zone["codes"]) + more)
    read_blackout(text_of(blackout_zones=[zone]))
    assert ended_of(text_of(blackout_zones=[zone]), STARTS) is None


def test_whether_it_is_forgotten() -> None:
    assert not forgets({})
    assert not forgets({"forget": "false"})
    assert forgets({"forget": "true"})
    with pytest.raises(DecodeError, match="forget: true or false"):
        forgets({"forget": "1"})
