from __future__ import annotations

from relay.stream_count.kicks import Kick, kick_events
from relay.stream_count.words import OPERATIONS, KickEvents, PlayerEventBody, told_of


def test_rules_are_told_as_they_were_made() -> None:
    told = told_of('{"stream_count":{"global":4}}', 1.5, "ops")
    assert told.model_dump(exclude_unset=True) == {"stream_count": {"global": 4}, "made": 1500, "by": "ops"}


def test_reading_and_writing_are_two_scopes() -> None:
    scopes = {one.name: one.scope and str(one.scope) for one in OPERATIONS}
    assert scopes == {
        "putStreamCount": "session", "getStreamCount": "read", "deleteStreamCount": "session",
        "postPlayerEvent": None, "mayPostPlayerEvent": None,
    }  # fmt: skip


def test_what_is_told_is_what_is_described() -> None:
    told = kick_events([Kick("ann", "s1", 1_500, "USER_ERROR", "user")], lambda _: 1, tenant="t")
    assert KickEvents.model_validate(told).model_dump() == told
    body = {"client": {"viewingSession": "s", "playerEvent": "play", "osName": "x"}, "logData": "x", "more": [1]}
    assert PlayerEventBody.model_validate(body).model_dump() == body
