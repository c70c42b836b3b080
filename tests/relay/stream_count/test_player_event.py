from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from kernel.tokens import Keyring, Purpose
from relay.stream_count.player_event import read_event, template_of
from relay.stream_count.rules import Asset, StreamRules
from relay.token_verifier import TokenVerifier
from tests.support.tokens import KEYS, claims

RULES = StreamRules(interval_s=10, assets={"game": Asset("5001", None, None, ("football", "sport"))})


def test_the_template_names_session_asset_and_category() -> None:
    said = claims(streams=(("854", 1),))
    template = template_of(said, RULES, Keyring(KEYS))
    assert template["client"]["viewingSession"] == "session-1"
    assert template["progress"] | {"assetId": "5001", "categoryId": "football"} == template["progress"]
    assert (template["eventInterval"], template["uri"]) == ("10.0", "/api/v1/playback/events")
    # It says what the session's token says, and is none.
    assert TokenVerifier(KEYS, Purpose.PLAYER_EVENT).verify(template["logData"]) == said
    assert TokenVerifier(KEYS).verify(template["logData"]) is None
    assert "categoryId" not in template_of(claims(event_id="other"), RULES, Keyring(KEYS))["progress"]


def test_a_template_that_was_filled_in_is_read() -> None:
    template = template_of(claims(), RULES, Keyring(KEYS))
    template["client"]["playerEvent"] = "PLAY"
    event = read_event(template)
    assert (event.session, event.word, event.is_last) == ("session-1", "play", False)
    assert event.log_data == template["logData"]
    template["client"]["playerEvent"] = "Stop"
    assert read_event(template).is_last


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (None, "client"),
        ([], "client"),
        ({}, "client"),
        ({"client": 1}, "client"),
        ({"client": {"playerEvent": "play"}, "logData": "x"}, "viewingSession"),
        ({"client": {"viewingSession": "s", "playerEvent": ""}, "logData": "x"}, "playerEvent"),
        ({"client": {"viewingSession": "s", "playerEvent": "p" * 65}, "logData": "x"}, "playerEvent"),
        ({"client": {"viewingSession": "s", "playerEvent": "play"}}, "logData"),
        ({"client": {"viewingSession": "s", "playerEvent": "play"}, "logData": "x" * 4097}, "logData"),
    ],
)
def test_what_is_missing_is_named(said: Any, named: str) -> None:
    with pytest.raises(DecodeError, match=named):
        read_event(said)
