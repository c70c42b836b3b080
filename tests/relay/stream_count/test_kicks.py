from __future__ import annotations

import pytest

from relay.sessions.model import KICK_MEMORY_MS
from relay.stream_count import kicks as module
from relay.stream_count.kicks import Kick, Kicks, kick_events

NOW = 1_518_789_709_379
KICK = Kick("anna", "1234-abcd-5678-efgh", NOW, "CATEGORY_ERROR", "category:sport")


def test_a_kick_is_told_in_the_shape_that_players_know() -> None:
    (event,) = kick_events([KICK], lambda _: 3, tenant="league").values()
    assert {name: value for name, value in event.items() if name not in ("originatorId", "guid")} == {
        "eventName": "kick-event",
        "originator": "lockstep",
        "tenant": "league",
        "versions": ["1.0"],
        "timestamp": "2018-02-16T14:01:49.379Z",
        "viewingSessionIdentifier": "1234-abcd-5678-efgh",
        "viewingSession": "1234-abcd-5678-efgh",
        "client": {"viewingSession": "1234-abcd-5678-efgh"},
        "kickReason": {
            "errorCode": "CATEGORY_ERROR",
            "errorMessage": "Max number (3) active streams for this category is reached",
        },
    }
    # Of one kick the same is told each time, of another one something else.
    assert kick_events([KICK], lambda _: 3, tenant="league") == {"1234-abcd-5678-efgh": event}
    again = kick_events([KICK._replace(at_ms=NOW + 1)], lambda _: 3, tenant="league")["1234-abcd-5678-efgh"]
    assert again["guid"] != event["guid"]
    assert again["originatorId"] == event["originatorId"]


def test_other_reasons_are_told_by_the_account_s_code() -> None:
    by_hand = KICK._replace(code="kicked", key="")
    reason = kick_events([by_hand], lambda _: None, tenant="t")[KICK.session]["kickReason"]
    assert reason == {"errorCode": "USER_ERROR", "errorMessage": "Stopped by the operator"}
    gone = kick_events([KICK], lambda _: None, tenant="t")[KICK.session]["kickReason"]
    assert gone["errorMessage"] == "Max number of active streams is reached"


def test_kicks_are_remembered_for_a_minute() -> None:
    kicks = Kicks()
    kicks.note(KICK, now_ms=NOW)
    sooner = KICK._replace(session="b", at_ms=NOW + 30_000)
    kicks.note(sooner, now_ms=NOW)
    kicks.note(sooner._replace(at_ms=NOW + 10), now_ms=NOW)
    assert kicks.of("anna", now_ms=NOW + KICK_MEMORY_MS - 1) == [KICK, sooner._replace(at_ms=NOW + 10)]
    assert kicks.of("anna", now_ms=NOW + KICK_MEMORY_MS) == [sooner._replace(at_ms=NOW + 10)]
    assert kicks.of("ben", now_ms=NOW) == []
    kicks.note(KICK._replace(account="ben", at_ms=NOW + 2 * KICK_MEMORY_MS), now_ms=NOW + 2 * KICK_MEMORY_MS)
    assert len(kicks) == 1


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KICKS", 3)
    kicks = Kicks()
    for n in range(5):
        kicks.note(KICK._replace(session=str(n)), now_ms=NOW)
    assert [kick.session for kick in kicks.of("anna", now_ms=NOW)] == ["2", "3", "4"]
