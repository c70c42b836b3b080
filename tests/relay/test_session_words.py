from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from relay.session_words import account_of, grace_of, sessions_told
from relay.sessions.model import Leaving, Session, text_of
from relay.sessions.policies import SessionPolicies

NOW_MS = 1_790_000_000_000
ABOUT = {"device": "tv", "network": "192.0.2.0/24", "place": "Pasadena, US-CA", "fingerprint": "abc"}


def session(name: str, began_s: int, leaving: Leaving | None = None, key: str = "event:final") -> Session:
    began_ms = NOW_MS - 1_000 * began_s
    keys = (key,) if key else ()
    until_ms = NOW_MS + 60_000
    return Session("ann", name, "final", began_ms, NOW_MS - 500, until_ms, 30_000, keys, text_of(ABOUT), leaving)


def turns(policies: SessionPolicies, *sessions: Session) -> list[int | None]:
    return [one.eviction_order for one in sessions_told("ann", sessions, policies, now_ms=NOW_MS).sessions]


def test_what_is_told_of_one() -> None:
    told = sessions_told("ann", [session("a", 90)], SessionPolicies(), now_ms=NOW_MS)
    assert told.model_dump(exclude_unset=True) == {
        "account_id": "ann",
        "sessions": [
            {
                "session_id": "a", "event_id": "final", "since": NOW_MS - 90_000, "duration_s": 90,
                "last_segment_at": NOW_MS - 500, "token_ends": NOW_MS + 60_000, "device": "tv", "fingerprint": "abc",
                "network": "192.0.2.0/24", "place": "Pasadena, US-CA", "counted_by": ["event:final"],
                "eviction_order": 1,
            }
        ],
    }  # fmt: skip


def test_who_goes_first() -> None:
    policies = SessionPolicies()
    three = [session("a", 90), session("b", 60), session("c", 30, key="plan:season")]
    assert turns(policies, *three) == [1, 2, 1]
    policies.heard("event:final", '{"event_id":"final","session_policy":{"eviction":"newest_first"}}')
    assert turns(policies, *three) == [2, 1, 1]
    policies.heard("event:final", '{"event_id":"final","session_policy":{"eviction":"viewer_choice"}}')
    assert turns(policies, *three) == [None, None, 1]
    assert turns(policies, session("d", 5, key=""), session("e", 5, key="category:7")) == [None, None]


def test_who_is_leaving_is_told_with_its_grace() -> None:
    leaving = Leaving(NOW_MS + 12_001, "session_limit", "event:final", "b", NOW_MS + 60_000)
    told = sessions_told("ann", [session("a", 90, leaving)], SessionPolicies(), now_ms=NOW_MS).sessions[0]
    assert told.eviction_order is None
    assert told.leaving is not None
    assert told.leaving.model_dump() == {"ends": NOW_MS + 12_001, "left_s": 13, "code": "session_limit", "by": "b"}


def test_what_a_query_may_say() -> None:
    assert (grace_of({}), grace_of({"grace_s": "30"})) == (0, 30)
    for text in ("-1", "3601", "1.5", "", "x", "99999", "٣"):
        with pytest.raises(DecodeError, match="grace_s"):
            grace_of({"grace_s": text})
    assert (account_of({}), account_of({"account": "ann"})) == (None, "ann")
    for text in ("", "x" * 256):
        with pytest.raises(DecodeError, match="account"):
            account_of({"account": text})
