from __future__ import annotations

from relay.sessions.policy_words import OPERATIONS, SessionPolicyRecord, told_of


def test_a_policy_is_told_as_it_was_made() -> None:
    record = SessionPolicyRecord("plan:season", '{"plan":"season","session_policy":{"max_concurrent":5}}', 1.5, "ops")
    assert told_of(record).model_dump(exclude_unset=True) == {
        "plan": "season", "session_policy": {"max_concurrent": 5}, "made": 1500, "by": "ops",
    }  # fmt: skip


def test_reading_and_writing_are_two_scopes() -> None:
    scopes = {one.name: str(one.scope) for one in OPERATIONS}
    assert scopes == {
        "makeSessionPolicy": "session", "listSessionPolicies": "read", "getSessionPolicy": "read",
        "deleteSessionPolicy": "session",
    }  # fmt: skip
